import datetime

import pytest
from django.utils import timezone

from amazonsender.sidebar import count_sending, sender_health
from campaigns.models import Campaign
from delivery.models import AccountGrant, AccountPace, SendingAccount
from organizations.models import Member
from tests.cast import Cast
from tests.factories import MailoutFactory


@pytest.fixture
def alice_member(cast: Cast) -> Member:
    return Member.objects.select_related("organization").get(user=cast.alice)


def test_the_badge_counts_what_the_organization_is_sending(alice_member: Member, cast: Cast) -> None:
    for organization, state in [(cast.acme, "sending"), (cast.acme, "sent"), (cast.other, "sending")]:
        Campaign.objects.create(organization=organization, name="X", state=state)

    assert count_sending(alice_member) == 1


def test_what_has_left_or_waits_is_not_counted_as_sending(alice_member: Member, cast: Cast) -> None:
    for state in ("sending", "finished", "paused", "cancelled"):
        mailout = MailoutFactory.create(organization=cast.acme, state=state)
        Campaign.objects.create(organization=cast.acme, name="X", state="sending", mailout=mailout)

    assert count_sending(alice_member) == 1


def test_without_an_account_nothing_is_said(alice_member: Member, cast: Cast) -> None:
    SendingAccount.objects.create(organization=cast.other, name="Theirs")

    assert sender_health(alice_member) is None


@pytest.mark.parametrize(
    ("changes", "parked", "expected"),
    [
        ({"is_local": True}, "", ("ok", "Local SES", "nothing reaches real people")),
        ({"max_24_hour_send": 100_000.0}, "", ("ok", "Amazon SES: healthy", "61,340 of 100,000 today")),
        ({"production_access": False}, "", ("warn", "Amazon SES: sandbox", "only verified addresses, 200 a day")),
        (
            {"enforcement_status": "PROBATION"},
            "",
            ("warn", "Amazon SES: under review", "Amazon looks at bounces and complaints"),
        ),
        ({"enforcement_status": "SHUTDOWN"}, "", ("stop", "Amazon SES: paused", "Amazon stopped this account")),
        ({"sending_enabled": False}, "", ("stop", "Amazon SES: paused", "Amazon stopped this account")),
        ({"is_local": True}, "quota", ("stop", "Sending is stopped", "Today's quota is used up")),
    ],
)
def test_the_line_of_health_says_how_the_sender_is_doing(
    alice_member: Member, changes: dict[str, object], parked: str, expected: tuple[str, str, str]
) -> None:
    account = SendingAccount.objects.create(organization=alice_member.organization, name="Ours", **changes)
    now = timezone.now() - datetime.timedelta(hours=1)
    AccountPace.objects.create(
        account=account, mail_tat=now, call_tat=now, max_rate=1, max_calls=1, day_used=61_340, day_limit=1,
        parked_reason=parked,
    )  # fmt: skip

    note = sender_health(alice_member)

    assert note is not None
    assert (note.tone, note.title, note.detail) == expected
    assert note.link == "/admin/account/"


def test_an_account_lent_by_another_organization_counts(alice_member: Member, cast: Cast) -> None:
    account = SendingAccount.objects.create(organization=cast.other, name="Lent")
    AccountGrant.objects.create(account=account, organization=cast.acme)

    note = sender_health(alice_member)

    assert note is not None
    assert note.detail == "0 of 200 today"
