from __future__ import annotations

import datetime
import zoneinfo

import pytest
import time_machine

from amazonsender.core.errors import Conflict, InvalidInput
from campaigns.models import Campaign, CampaignState
from campaigns.services import scheduling
from campaigns.services.local_times import resolve_local
from campaigns.services.scheduling import launch_due_campaigns, schedule_campaign, unschedule_campaign
from campaigns.tasks import launch_due
from delivery.models import Mailout
from organizations.models import Organization, User
from subscribers.models import List
from tests.campaigns import world
from tests.campaigns.test_launching import in_threads
from tests.cast import make_cast

NOW = datetime.datetime(2026, 11, 25, 6, 0, tzinfo=datetime.UTC)
EIGHT = NOW + datetime.timedelta(hours=2)
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


@pytest.fixture
def scheduled(campaign: Campaign, alice: User) -> Campaign:
    Campaign.objects.filter(pk=campaign.pk).update(scheduled_at=EIGHT)
    with time_machine.travel(NOW, tick=False):
        return schedule_campaign(campaign=Campaign.objects.get(pk=campaign.pk), revision=1, actor=alice, people=5)


def test_scheduling_remembers_what_was_confirmed(scheduled: Campaign) -> None:
    assert scheduled.state == CampaignState.SCHEDULED
    assert scheduled.confirmed == {
        "list_ids": list(scheduled.lists.values_list("pk", flat=True)),
        "excluded_list_ids": [],
        "people": 5,
    }
    assert not Mailout.objects.exists()


def test_nothing_starts_before_its_time(scheduled: Campaign) -> None:
    outcome = launch_due_campaigns(now=EIGHT - datetime.timedelta(seconds=1))

    assert outcome == scheduling.DueOutcome([], [], [])
    assert not Mailout.objects.exists()


def test_it_starts_at_its_time_for_whoever_scheduled_it(scheduled: Campaign, alice: User) -> None:
    outcome = launch_due_campaigns(now=EIGHT)

    assert outcome.launched == [scheduled.pk]
    mailout = Mailout.objects.get()
    assert (mailout.eligible, mailout.created_by) == (5, alice)


def test_running_the_job_again_launches_nothing_more(scheduled: Campaign) -> None:
    launch_due_campaigns(now=EIGHT)

    assert launch_due_campaigns(now=EIGHT).launched == []
    assert Mailout.objects.count() == 1


def test_people_who_joined_since_the_confirmation_get_it_too(scheduled: Campaign, newsletter: List) -> None:
    world.subscribe(newsletter, "late@example.com")

    launch_due_campaigns(now=EIGHT)

    assert Mailout.objects.get().eligible == 6


@pytest.mark.parametrize("late", [datetime.timedelta(hours=5), datetime.timedelta(days=3)])
def test_long_past_its_time_it_is_held_for_a_person(scheduled: Campaign, late: datetime.timedelta) -> None:
    outcome = launch_due_campaigns(now=EIGHT + late)

    assert outcome.held == [scheduled.pk]
    scheduled.refresh_from_db()
    assert scheduled.state == CampaignState.DRAFT
    assert "planned for 2026-11-25 10:00 EET" in scheduled.state_detail
    assert not Mailout.objects.exists()


def test_within_the_hour_of_grace_it_still_starts(scheduled: Campaign) -> None:
    outcome = launch_due_campaigns(now=EIGHT + datetime.timedelta(hours=1))

    assert outcome.launched == [scheduled.pk]


def test_what_stops_it_by_then_is_said_and_nothing_goes_out(scheduled: Campaign, acme: Organization) -> None:
    Organization.objects.filter(pk=acme.pk).update(postal_address="")

    outcome = launch_due_campaigns(now=EIGHT)

    assert outcome.failed == [scheduled.pk]
    scheduled.refresh_from_db()
    assert scheduled.state == CampaignState.FAILED
    assert "no postal address" in scheduled.state_detail
    assert not Mailout.objects.exists()


def test_a_deleted_list_fails_closed_rather_than_widening_the_audience(scheduled: Campaign, acme: Organization) -> None:
    excluded = world.make_list(acme, "Excluded", people=0)
    scheduled.excluded_lists.add(excluded)
    Campaign.objects.filter(pk=scheduled.pk).update(
        confirmed={**(scheduled.confirmed or {}), "excluded_list_ids": [excluded.pk]}
    )
    excluded.delete()

    outcome = launch_due_campaigns(now=EIGHT)

    assert outcome.failed == [scheduled.pk]
    scheduled.refresh_from_db()
    assert "list of this campaign was deleted" in scheduled.state_detail
    assert not Mailout.objects.exists()


def test_one_broken_campaign_does_not_hold_up_the_others(
    scheduled: Campaign, acme: Organization, newsletter: List, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = world.make_campaign(acme, scheduled.account, newsletter)  # type: ignore[arg-type]
    Campaign.objects.filter(pk=second.pk).update(
        name="Broken", state=CampaignState.SCHEDULED, starts_at=EIGHT - datetime.timedelta(minutes=1)
    )
    from campaigns.services.launching import launch_campaign as launch

    def broken(*, campaign: Campaign, **rest: object) -> Mailout:
        if campaign.name == "Broken":
            raise RuntimeError("a bug")
        return launch(campaign=campaign, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(scheduling, "launch_campaign", broken)

    assert launch_due_campaigns(now=EIGHT).launched == [scheduled.pk]


def test_calling_it_off_makes_it_a_draft(scheduled: Campaign, alice: User) -> None:
    unschedule_campaign(campaign=scheduled, actor=alice)

    assert scheduled.state == CampaignState.DRAFT
    assert launch_due_campaigns(now=EIGHT).launched == []
    assert not Mailout.objects.exists()


def test_calling_it_off_too_late_says_so(scheduled: Campaign, alice: User) -> None:
    launch_due_campaigns(now=EIGHT)

    with pytest.raises(Conflict, match="Too late"):
        unschedule_campaign(campaign=scheduled, actor=alice)

    assert Mailout.objects.count() == 1


@pytest.mark.parametrize("scheduled_at", [None, NOW, NOW - datetime.timedelta(minutes=1)])
def test_only_a_time_in_the_future_can_be_scheduled(
    campaign: Campaign, alice: User, scheduled_at: datetime.datetime | None
) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(scheduled_at=scheduled_at)

    with time_machine.travel(NOW, tick=False), pytest.raises(InvalidInput, match="in the future"):
        schedule_campaign(campaign=Campaign.objects.get(pk=campaign.pk), revision=1, actor=alice)

    campaign.refresh_from_db()
    assert campaign.state == CampaignState.DRAFT


def test_a_cut_off_before_the_start_is_refused(campaign: Campaign, alice: User) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(scheduled_at=EIGHT, not_after=EIGHT - datetime.timedelta(minutes=1))

    with time_machine.travel(NOW, tick=False), pytest.raises(InvalidInput, match="before the start"):
        schedule_campaign(campaign=Campaign.objects.get(pk=campaign.pk), revision=1, actor=alice)


def test_scheduling_an_older_revision_is_refused(campaign: Campaign, alice: User) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(scheduled_at=EIGHT, revision=2)

    with time_machine.travel(NOW, tick=False), pytest.raises(Conflict):
        schedule_campaign(campaign=Campaign.objects.get(pk=campaign.pk), revision=1, actor=alice)


def test_the_task_launches_what_is_due(scheduled: Campaign) -> None:
    with time_machine.travel(EIGHT, tick=False):
        launch_due()

    assert Mailout.objects.get().idempotency_key == f"campaign:{scheduled.pk}"


@pytest.mark.parametrize(
    ("day", "hour", "utc", "note"),
    [
        ((2026, 3, 29), (2, 30), (2026, 3, 29, 1, 30), "02:30 does not exist on 29 March; it will be 03:30."),
        ((2026, 10, 25), (2, 30), (2026, 10, 25, 0, 30), "02:30 comes twice on 25 October; the first is meant."),
        ((2026, 3, 28), (9, 0), (2026, 3, 28, 8, 0), ""),
        ((2026, 3, 30), (9, 0), (2026, 3, 30, 7, 0), ""),
    ],
)
def test_clock_changes_are_resolved_once_and_said(
    day: tuple[int, int, int], hour: tuple[int, int], utc: tuple[int, int, int, int, int], note: str
) -> None:
    moment = resolve_local(datetime.date(*day), datetime.time(*hour), BERLIN)

    assert moment.at == datetime.datetime(*utc, tzinfo=datetime.UTC)
    assert moment.note == note


@pytest.mark.django_db(transaction=True)
def test_eight_schedulers_at_once_launch_each_campaign_once() -> None:
    cast = make_cast()
    newsletter = world.make_list(cast.acme, "Newsletter", people=3)
    account = world.make_account(cast.acme)
    for _ in range(3):
        made = world.make_campaign(cast.acme, account, newsletter, actor=cast.alice)
        Campaign.objects.filter(pk=made.pk).update(state=CampaignState.SCHEDULED, scheduled_at=EIGHT, starts_at=EIGHT)

    results = in_threads(8, lambda: launch_due_campaigns(now=EIGHT))

    assert all(isinstance(result, scheduling.DueOutcome) for result in results)
    assert sorted(Mailout.objects.values_list("idempotency_key", flat=True)) == sorted(
        f"campaign:{pk}" for pk in Campaign.objects.values_list("pk", flat=True)
    )
    assert set(Campaign.objects.values_list("state", flat=True)) == {"sending"}
