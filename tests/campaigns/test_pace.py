"""Changing how fast a campaign goes out while it does."""

from __future__ import annotations

import datetime

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.utils import timezone

from amazonsender.core.errors import Conflict, InvalidInput
from campaigns.admin.live import lead
from campaigns.admin.wording import pace_words
from campaigns.models import Campaign
from campaigns.services.launching import launch_campaign
from delivery.models import Mailout, MailoutState
from delivery.services.controlling import set_pace
from organizations.models import AuditEntry, User
from tests.campaigns.test_pages import page, text
from tests.campaigns.test_words import progress


@pytest.fixture
def mailout(campaign: Campaign, alice: User) -> Mailout:
    return launch_campaign(campaign=campaign, revision=1, actor=alice)


def post(client: Client, campaign: Campaign, **fields: str) -> list[str]:
    response = client.post(page("pace", campaign), fields)
    assert response.headers["Location"] == page("live", campaign)
    return [str(message) for message in get_messages(response.wsgi_request)]


@pytest.mark.parametrize(
    ("amount", "per", "rate", "said"),
    [
        ("5", "second", 5.0, "From now on at most 5 a second."),
        ("90", "minute", 1.5, "From now on at most 90 a minute."),
        ("1", "hour", 1 / 3600, "From now on at most 1 an hour."),
        ("7200", "hour", 2.0, "From now on at most 2 a second."),
    ],
)
def test_a_pace_is_set_and_written_down(
    bob_client: Client, campaign: Campaign, mailout: Mailout, bob: User, amount: str, per: str, rate: float, said: str
) -> None:
    Mailout.objects.update(pace_tat=timezone.now() + datetime.timedelta(hours=1))

    messages = post(bob_client, campaign, pace="own", amount=amount, per=per)

    assert messages == [said]
    mailout.refresh_from_db()
    assert (mailout.rate_limit, mailout.pace_tat, mailout.state) == (rate, None, MailoutState.SENDING)
    entry = AuditEntry.objects.get(action="campaign.paced")
    assert (entry.actor, entry.object_id) == (bob, str(campaign.pk))
    assert entry.detail == {"mailout_id": mailout.pk, "people_per_second": rate}


def test_the_pace_is_lifted_again_and_the_page_says_which_holds(
    bob_client: Client, campaign: Campaign, mailout: Mailout
) -> None:
    assert "the account allows 50 a second" in text(bob_client.get(page("live", campaign)))
    post(bob_client, campaign, pace="own", amount="100", per="hour")
    assert "your pace: at most 100 an hour" in text(bob_client.get(page("live", campaign)))

    messages = post(bob_client, campaign, pace="full", amount="100", per="hour")

    assert messages == ["From now on as fast as the account allows."]
    mailout.refresh_from_db()
    assert mailout.rate_limit is None


def test_a_paused_campaign_may_be_given_a_pace_and_stays_paused(
    bob_client: Client, campaign: Campaign, mailout: Mailout
) -> None:
    bob_client.post(page("control", campaign), {"act": "pause"})

    post(bob_client, campaign, pace="own", amount="3", per="second")

    mailout.refresh_from_db()
    assert (mailout.rate_limit, mailout.state) == (3.0, MailoutState.PAUSED)


@pytest.mark.parametrize(
    "fields",
    [
        {"pace": "own", "amount": "", "per": "second"},
        {"pace": "own", "amount": "0", "per": "second"},
        {"pace": "own", "amount": "-4", "per": "second"},
        {"pace": "own", "amount": "1e9", "per": "second"},
        {"pace": "own", "amount": "5", "per": "day"},
        {"pace": "slow"},
        {},
    ],
)
def test_a_pace_that_makes_no_sense_changes_nothing(
    bob_client: Client, campaign: Campaign, mailout: Mailout, fields: dict[str, str]
) -> None:
    assert len(post(bob_client, campaign, **fields)) == 1

    mailout.refresh_from_db()
    assert mailout.rate_limit is None
    assert not AuditEntry.objects.filter(action="campaign.paced").exists()


def test_a_finished_campaign_has_no_pace_any_more(bob_client: Client, campaign: Campaign, mailout: Mailout) -> None:
    Mailout.objects.update(state=MailoutState.FINISHED)

    assert post(bob_client, campaign, pace="own", amount="5", per="second") == ["It is already “Sent”."]

    mailout.refresh_from_db()
    assert mailout.rate_limit is None
    assert not AuditEntry.objects.filter(action="campaign.paced").exists()
    with pytest.raises(Conflict):
        set_pace(mailout=mailout, rate_limit=5.0)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("inf"), float("nan")])
def test_the_service_refuses_a_pace_of_nobody(mailout: Mailout, rate: float) -> None:
    with pytest.raises(InvalidInput):
        set_pace(mailout=mailout, rate_limit=rate)

    mailout.refresh_from_db()
    assert mailout.rate_limit is None


def test_an_analyst_may_not_change_the_pace(carol_client: Client, campaign: Campaign, mailout: Mailout) -> None:
    assert "Change the pace" not in text(carol_client.get(page("live", campaign)))

    response = carol_client.post(page("pace", campaign), {"pace": "own", "amount": "1", "per": "hour"})

    assert response.status_code == 403
    mailout.refresh_from_db()
    assert mailout.rate_limit is None


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        (50.0, "50 a second"),
        (1200.0, "1,200 a second"),
        (0.5, "30 a minute"),
        (100 / 3600, "100 an hour"),
        (0.00001, "1 an hour"),
    ],
)
def test_a_pace_is_said_in_the_unit_that_shows_it_whole(rate: float, said: str) -> None:
    assert pace_words(rate) == said


def test_the_time_left_is_never_less_than_the_pace_takes() -> None:
    slow = Mailout(state="sending", rate_limit=100 / 3600)

    assert lead(slow, progress(waiting=100)) == "About 60 minutes left."
    assert lead(slow, progress(waiting=100, rate=50.0, seconds_left=2.0)) == "About 60 minutes left."
