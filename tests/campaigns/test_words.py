from __future__ import annotations

import datetime
import zoneinfo

import pytest
from django.utils import timezone
from django.utils.translation import override

from campaigns.admin.live import lead, parked_words
from campaigns.admin.wording import city_of, duration_words, exact_words, kilobytes, when_words
from campaigns.models import Campaign
from campaigns.selectors.accounts import account_of, is_sender_verified
from campaigns.selectors.timing import free_quota, sending_seconds
from campaigns.templatetags.campaign_words import readable
from delivery.models import AccountGrant, Mailout, SenderIdentity, SendingAccount
from delivery.selectors.progress import Progress
from organizations.models import Organization
from tests.campaigns import world

NOW = datetime.datetime(2026, 11, 25, 7, 0, tzinfo=datetime.UTC)
RIGA = zoneinfo.ZoneInfo("Europe/Riga")


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        (1, "today, 10:00"),
        (24, "tomorrow, 09:00"),
        (-24, "yesterday, 09:00"),
        (72, "Sat 28 Nov, 09:00"),
        (-72, "22 Nov"),
        (24 * 60, "Sun 24 Jan 2027, 09:00"),
    ],
)
def test_times_are_said_as_people_say_them(hours: int, said: str) -> None:
    with timezone.override(RIGA):
        assert when_words(NOW + datetime.timedelta(hours=hours), NOW) == said


def test_no_time_is_no_word() -> None:
    assert when_words(None) == ""


def test_the_exact_time_names_the_city() -> None:
    with timezone.override(RIGA):
        assert exact_words(NOW) == "Wednesday 25 November, 09:00 in Riga"
    assert city_of("America/New_York") == "New York"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "1 second"), (45, "45 seconds"), (90, "2 minutes"), (960, "16 minutes"), (6000, "2 hours")],
)
def test_durations_are_said_in_the_largest_honest_unit(seconds: float, said: str) -> None:
    assert duration_words(seconds) == said


def test_sizes_are_at_least_one_kilobyte() -> None:
    assert [kilobytes(size) for size in (0, 38_912, 2_097_152)] == ["1 KB", "38 KB", "2,048 KB"]


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        ('{{ first_name | default: "Dear reader" }}, hello', "Dear reader, hello"),
        ("{{ first_name | default: 'you' | upcase }}!", "you!"),
        ("Hello {{ first_name }}", "Hello ‹first_name›"),
        ("{% if a %}A{% endif %}", "A"),
        ('{{ x | default: "" }}', ""),
    ],
)
def test_a_subject_is_shown_without_its_liquid(subject: str, said: str) -> None:
    assert readable(subject) == said


def progress(**given: object) -> Progress:
    numbers = dict.fromkeys(("sent", "simulated", "failed", "unknown", "excluded", "cancelled"), 0)
    defaults: dict[str, object] = {
        "candidates": 100,
        "waiting": 100,
        "rate": 0.0,
        "seconds_left": None,
        "state": "sending",
        "state_reason": "",
    }
    return Progress(**{**numbers, **defaults, **given})  # type: ignore[arg-type]  # named above


@pytest.mark.parametrize(
    ("state", "reason", "given", "said"),
    [
        ("sending", "", {}, "Starting."),
        ("sending", "", {"seconds_left": 240.0}, "About 4 minutes left."),
        ("sending", "", {"waiting": 0}, "Everybody was tried; the last answers are coming in."),
        ("paused", "by_hand", {"seconds_left": 240.0}, ""),
        ("cancelling", "", {}, "Stopping: what is already with the provider is being settled."),
        (
            "sending",
            "pilot",
            {},
            "Many here were never mailed before, so a first part goes ahead and the rest waits for its bounces.",
        ),
        (
            "sending",
            "",
            {"parked_reason": "paused"},
            "Sending is paused at the provider. It goes on when that is mended.",
        ),
    ],
)
def test_the_live_page_says_what_it_waits_for(state: str, reason: str, given: dict[str, object], said: str) -> None:
    assert lead(Mailout(state=state, state_reason=reason), progress(**given)) == said


def test_a_used_up_quota_says_when_it_goes_on_by_itself() -> None:
    until = timezone.now() + datetime.timedelta(days=1)
    with timezone.override(datetime.UTC), override("en"):
        said = parked_words(progress(parked_reason="quota", parked_until=until, waiting=8210))

    assert said == f"Today's quota is used up. Goes on by itself tomorrow, {until:%H:%M} with 8,210."


@pytest.mark.parametrize(
    ("people", "rate", "own", "seconds"),
    [(1000, 50, None, 20), (1000, 50, 10, 100), (0, 50, None, 0), (10, 0, None, 0)],
)
def test_how_long_it_takes_follows_the_tighter_limit(
    people: int, rate: float, own: float | None, seconds: float
) -> None:
    assert sending_seconds(people, SendingAccount(max_send_rate=rate, rate_limit=own)) == seconds


def test_nobody_can_tell_without_an_account() -> None:
    assert sending_seconds(10, None) == 0
    assert free_quota(None) is None


@pytest.mark.parametrize(("most", "used", "free"), [(1000, 400, 600), (1000, 4000, 0), (-1, 400, None)])
def test_the_free_quota(most: float, used: float, free: float | None) -> None:
    assert free_quota(SendingAccount(max_24_hour_send=most, sent_last_24_hours=used)) == free


@pytest.mark.parametrize(
    ("email", "known", "verified"),
    [
        ("a@news.example", [("news.example", True)], True),
        ("a@mail.news.example", [("news.example", True)], True),
        ("a@otherNEWS.example", [("news.example", True)], None),
        ("A@news.example", [("a@news.example", False)], False),
        ("a@news.example", [("a@news.example", False), ("news.example", True)], True),
    ],
)
def test_a_sender_is_verified_by_its_address_or_its_domain(
    email: str, known: list[tuple[str, bool]], verified: bool | None
) -> None:
    identities = [SenderIdentity(identity=identity, is_verified=is_verified) for identity, is_verified in known]

    assert is_sender_verified(email, identities) is verified


def test_an_account_granted_by_another_organization_may_be_used_and_a_strangers_may_not(
    acme: Organization, other: Organization
) -> None:
    theirs = world.make_account(other)
    campaign = Campaign.objects.create(organization=acme, name="x", account=theirs)
    assert account_of(campaign) is None

    AccountGrant.objects.create(account=theirs, organization=acme)

    assert account_of(campaign) == theirs


def test_with_two_accounts_one_has_to_be_chosen(acme: Organization) -> None:
    first, second = world.make_account(acme), SendingAccount.objects.create(organization=acme, name="second")
    campaign = Campaign(organization=acme, name="x")

    assert account_of(campaign) is None
    campaign.account = second
    assert account_of(campaign) == second
    assert first != second
