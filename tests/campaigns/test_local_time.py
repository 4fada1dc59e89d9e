"""At a time by each one's clock: what the pages say, when it starts, who gets it when."""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from amazonsender.core.errors import InvalidInput
from campaigns.admin.live import lead
from campaigns.models import Campaign, CampaignState
from campaigns.services.compose import duplicate_campaign, undo_last_save
from campaigns.services.launching import launch_campaign
from campaigns.services.scheduling import launch_due_campaigns, schedule_campaign, unschedule_campaign
from delivery.engine.calls import Call
from delivery.engine.database import open_connection
from delivery.engine.runner import AccountRunner
from delivery.models import Mailout, MessageBatch
from organizations.models import Organization, User
from subscribers.models import List
from tests.campaigns import world
from tests.campaigns.engine import running_engine
from tests.campaigns.test_pages import page, save, text
from tests.campaigns.test_words import progress
from tests.delivery.engine.world import ScriptedProvider
from tests.localses.running import wait_until

RIGA = zoneinfo.ZoneInfo("Europe/Riga")
NOW = datetime.datetime(2027, 1, 13, 12, 0, tzinfo=RIGA)
NINE = datetime.datetime(2027, 1, 15, 9, 0, tzinfo=RIGA)
TOKYO = datetime.datetime(2027, 1, 15, 2, 0, tzinfo=RIGA)
NEW_YORK = datetime.datetime(2027, 1, 15, 16, 0, tzinfo=RIGA)


@pytest.fixture
def abroad(newsletter: List) -> List:
    """Beside the five without a time zone."""
    for number, zone in enumerate(("Asia/Tokyo", "Asia/Tokyo", "America/New_York", "Europe/Helsinki")):
        world.subscribe(newsletter, f"abroad{number}@example.org", time_zone=zone)
    return newsletter


@pytest.fixture
def local(campaign: Campaign, abroad: List) -> Campaign:
    Campaign.objects.filter(pk=campaign.pk).update(scheduled_at=NINE, is_by_local_time=True)
    return Campaign.objects.get(pk=campaign.pk)


@contextmanager
def at(moment: datetime.datetime, client: Client, user: User) -> Iterator[None]:
    """Another time, in which the session has not run out."""
    with time_machine.travel(moment, tick=False):
        client.force_login(user)
        yield


def schedule(campaign: Campaign, actor: User, *, at: datetime.datetime = NOW) -> Campaign:
    with time_machine.travel(at, tick=False):
        return schedule_campaign(campaign=Campaign.objects.get(pk=campaign.pk), revision=1, actor=actor, people=9)


def test_the_step_when_saves_it_and_goes_back(bob_client: Client, campaign: Campaign) -> None:
    save(bob_client, campaign, "when", when="local", day="2031-07-01", time="09:00")
    campaign.refresh_from_db()
    assert campaign.scheduled_at is not None
    assert (campaign.scheduled_at.isoformat(), campaign.is_by_local_time) == ("2031-07-01T06:00:00+00:00", True)

    save(bob_client, campaign, "when", revision=2, when="at", day="2031-07-01", time="09:00")
    campaign.refresh_from_db()
    assert campaign.is_by_local_time is False


def test_the_choice_can_be_undone_and_is_not_copied(local: Campaign, bob_client: Client, alice: User) -> None:
    assert duplicate_campaign(campaign=local, actor=alice).is_by_local_time is False
    save(bob_client, local, "when", when="now")

    undone = undo_last_save(campaign=local, actor=alice)

    assert (undone.scheduled_at, undone.is_by_local_time) == (NINE, True)


def test_the_step_when_says_what_happens_to_whom(bob_client: Client, bob: User, local: Campaign) -> None:
    with at(NOW, bob_client, bob):
        said = text(bob_client.get(page("when", local)))

    assert "Wherever somebody lives, it comes when their own clock shows 09:00." in said
    assert "2 people: Tokyo" in said
    assert "6 people: Riga, Helsinki" in said
    assert "1 person: New York" in said
    assert "5 people have no time zone on record and get it at 09:00 in Riga." in said
    assert "has passed" not in said


def test_the_step_when_says_whose_hour_has_passed(bob_client: Client, bob: User, local: Campaign) -> None:
    with at(NINE - datetime.timedelta(hours=2), bob_client, bob):
        said = text(bob_client.get(page("when", local)))

    assert "2 people, where 09:00 has passed" in said
    assert "Tokyo" not in said


def test_the_review_says_who_gets_it_at_once(bob_client: Client, bob: User, local: Campaign) -> None:
    with at(NINE - datetime.timedelta(hours=2), bob_client, bob):
        said = text(bob_client.get(page("review", local)))

    assert "2 people get it as soon as you confirm: where they live, 09:00 has passed." in said
    assert "you can call it off" not in said


def test_more_turns_than_fit_are_counted(bob_client: Client, bob: User, local: Campaign, newsletter: List) -> None:
    for hours in range(1, 12):
        world.subscribe(newsletter, f"h{hours}@example.org", time_zone=f"Etc/GMT-{hours}")

    with at(NOW, bob_client, bob):
        said = text(bob_client.get(page("when", local)))

    assert "4 more turns" in said  # twelve in all


def test_the_review_says_it_and_until_when_it_can_be_called_off(bob_client: Client, bob: User, local: Campaign) -> None:
    confirmed = {"revision": "1", "people": "9", "typed": "9", "act": "schedule"}
    with at(NOW, bob_client, bob):
        said = text(bob_client.get(page("review", local)))
        bob_client.post(page("review", local), confirmed)
        after = text(bob_client.get(page("review", local)))

    assert "9 people get this email, each when their own clock shows 09:00." in said
    assert "by each one’s clock: the first Fri 15 Jan, 02:00, the last Fri 15 Jan, 16:00" in said
    assert "5 without a time zone by the clock in Riga" in said
    assert "Until Fri 15 Jan, 02:00 you can call it off" in said
    assert "Until Fri 15 Jan, 02:00 you can call it off" in after
    assert "Each person gets it by their own clock." in after
    local.refresh_from_db()
    assert (local.state, local.starts_at) == (CampaignState.SCHEDULED, TOKYO)


def test_it_starts_with_the_first_time_zone_and_everybody_is_due_by_their_own_clock(
    local: Campaign, alice: User
) -> None:
    schedule(local, alice)

    assert launch_due_campaigns(now=TOKYO - datetime.timedelta(seconds=1)).launched == []
    assert launch_due_campaigns(now=TOKYO).launched == [local.pk]

    assert list(MessageBatch.objects.order_by("lo").values_list("lo", "hi", "due_at")) == [
        (1, 3, TOKYO),
        (3, 9, NINE),
        (9, 10, NEW_YORK),
    ]
    local.refresh_from_db()
    assert local.is_by_local_time


def test_who_schedules_it_late_starts_it_at_once(local: Campaign, alice: User) -> None:
    late = TOKYO + datetime.timedelta(hours=3)

    assert schedule(local, alice, at=late).starts_at == late
    assert launch_due_campaigns(now=late).launched == [local.pk]  # not held as overdue


def test_by_one_clock_it_starts_at_its_time(campaign: Campaign, abroad: List, alice: User) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(scheduled_at=NINE)

    assert schedule(campaign, alice).starts_at == NINE


def test_a_called_off_one_has_no_start(local: Campaign, alice: User) -> None:
    scheduled = schedule(local, alice)

    assert unschedule_campaign(campaign=scheduled, actor=alice).starts_at is None
    assert launch_due_campaigns(now=TOKYO).launched == []


def test_sent_now_it_goes_to_everybody_at_once(local: Campaign, alice: User) -> None:
    launch_campaign(campaign=local, revision=1, actor=alice)

    assert MessageBatch.objects.get().due_at <= timezone.now()
    local.refresh_from_db()
    assert local.is_by_local_time is False


@pytest.mark.parametrize("hours", [-1, 1, 7])
def test_a_cut_off_before_the_last_turn_is_refused(local: Campaign, alice: User, hours: int) -> None:
    Campaign.objects.filter(pk=local.pk).update(not_after=NINE + datetime.timedelta(hours=hours))

    with pytest.raises(InvalidInput, match="cut-off"):
        schedule(local, alice)

    assert Campaign.objects.get().state == CampaignState.DRAFT


def test_a_cut_off_after_the_last_turn_is_fine(local: Campaign, alice: User) -> None:
    Campaign.objects.filter(pk=local.pk).update(not_after=NEW_YORK + datetime.timedelta(minutes=1))

    assert schedule(local, alice).state == CampaignState.SCHEDULED


def test_the_live_page_tells_who_waits_for_their_own_clock() -> None:
    with time_machine.travel(NOW, tick=False), timezone.override(RIGA):
        waits = {"waiting": 60, "not_due": 60, "next_due_at": NOW + datetime.timedelta(hours=3)}
        assert lead(Mailout(state="sending"), progress(**waits)) == (
            "60 people get it by their own clocks, the next of them today, 15:00."
        )
        assert lead(Mailout(state="sending", rate_limit=10), progress(**waits | {"waiting": 100})) == (
            "About 4 seconds left. 60 people get it by their own clocks, the next of them today, 15:00."
        )


@pytest.mark.django_db(transaction=True)
def test_from_the_page_to_the_inbox_only_whose_hour_has_come_get_it(
    acme: Organization, campaign: Campaign, newsletter: List, bob_client: Client
) -> None:
    """With the engine and the real clock: it is planned for an hour from now in Riga, which is long past in Tokyo."""
    world.subscribe(newsletter, "tokyo@example.org", time_zone="Asia/Tokyo")
    world.subscribe(newsletter, "new-york@example.org", time_zone="America/New_York")
    start = timezone.localtime(timezone=RIGA) + datetime.timedelta(hours=1)
    provider = ScriptedProvider()

    def make_runner(account_id: int, results: SimpleQueue[Call]) -> AccountRunner:
        return AccountRunner(account_id, provider, threads=1, results=results, connect=open_connection)

    save(bob_client, campaign, "when", when="local", day=f"{start:%Y-%m-%d}", time=f"{start:%H:%M}")
    bob_client.post(page("review", campaign), {"revision": "2", "people": "7", "typed": "7", "act": "schedule"})
    with running_engine(make_runner):
        launch_due_campaigns()
        wait_until(lambda: provider.handed_over)
        said = bob_client.get(page("live_state", campaign)).json()

    assert provider.handed_over == {"tokyo@example.org": 1}
    assert (said["headline"], said["waiting"]) == ("1 of 7 are out.", 6)
    assert "6 people get it by their own clocks, the next of them" in said["lead"]
    assert sorted(MessageBatch.objects.values_list("state", flat=True))[:2] == [0, 0]
