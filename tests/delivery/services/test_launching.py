"""Freezing an audience: who is in it, in which order, in which batches, and only once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, connection, connections, transaction
from django.utils import timezone
from pytest_django import Settings

from amazonsender.core.errors import InvalidInput, NotFound
from delivery.engine.database import Connection
from delivery.engine.ticking import tick
from delivery.models import (
    AccountGrant,
    AccountPace,
    AccountUsage,
    ExclusionReason,
    Mailout,
    MailoutEmail,
    MailoutState,
    Message,
    MessageBatch,
    MessageState,
)
from delivery.selectors.audience import Audience
from delivery.selectors.progress import mailout_account, mailout_progress
from delivery.selectors.waves import due_in_zone
from delivery.services import launching
from delivery.services.launching import NothingToSend
from delivery.services.partitions import message_table
from subscribers.models import Subscriber, SubscriberStatus, SubscriptionState
from tests.delivery.engine.world import World, make_world
from tests.factories import OrganizationFactory, SubscriptionFactory, SuppressionFactory

Reason = ExclusionReason


def reasons_of(mailout: Mailout) -> dict[str, Reason]:
    """Reason by the name before the @."""
    people = dict(Subscriber.objects.values_list("pk", "email"))
    rows = Message.objects.filter(mailout_id=mailout.pk).values_list("subscriber_id", "reason")
    return {people[pk].partition("@")[0]: Reason(reason) for pk, reason in rows}


def batches() -> list[tuple[int, int]]:
    return list(MessageBatch.objects.order_by("lo").values_list("lo", "hi"))


def test_everybody_on_the_lists_becomes_a_message_with_the_reason_that_weighs_most(world: World) -> None:
    away, other = world.add_list("Away"), world.add_list("Other")
    world.add_person("active")
    world.add_person("complained", status=SubscriberStatus.COMPLAINED)
    world.add_person("bounced", status=SubscriberStatus.BOUNCED)
    world.add_person("suppressed")
    SuppressionFactory.create(organization=world.organization, address_key="suppressed@example.com")
    world.add_person("platform")
    SuppressionFactory.create(organization=None, address_key="platform@example.com")
    world.add_person("listed")
    SuppressionFactory.create(
        organization=world.organization, address_key="listed@example.com", scope="list", list=world.list
    )
    world.add_person("elsewhere")
    SuppressionFactory.create(
        organization=world.organization, address_key="elsewhere@example.com", scope="list", list=other
    )
    SuppressionFactory.create(address_key="elsewhere@example.com")  # another organization's
    SuppressionFactory.create(
        organization=world.organization,
        address_key="elsewhere@example.com",
        expires_at=timezone.now() - timedelta(seconds=1),
    )
    world.add_person("left", state=SubscriptionState.UNSUBSCRIBED)
    world.add_person("left-all", status=SubscriberStatus.UNSUBSCRIBED)
    world.add_person("pending", state=SubscriptionState.PENDING)
    SubscriptionFactory.create(subscriber=world.add_person("away"), list=away)
    world.add_person("not-chosen", other)
    # every reason at once, then without the strongest, and so on
    for name, status in (("all", "complained"), ("but-complaint", "bounced"), ("but-bounce", "unsubscribed")):
        person = world.add_person(name, status=status, state=SubscriptionState.PENDING)
        SubscriptionFactory.create(subscriber=person, list=away)
        SuppressionFactory.create(organization=world.organization, address_key=person.address_key)

    mailout = world.launch(audience=Audience((world.list.pk,), (away.pk,)))

    assert reasons_of(mailout) == {
        "active": Reason.NONE,
        "elsewhere": Reason.NONE,
        "complained": Reason.COMPLAINED,
        "bounced": Reason.BOUNCED,
        "suppressed": Reason.SUPPRESSED,
        "platform": Reason.SUPPRESSED,
        "listed": Reason.SUPPRESSED,
        "left": Reason.UNSUBSCRIBED,
        "left-all": Reason.UNSUBSCRIBED,
        "pending": Reason.UNCONFIRMED,
        "away": Reason.EXCLUDED_LIST,
        "all": Reason.COMPLAINED,
        "but-complaint": Reason.BOUNCED,
        "but-bounce": Reason.SUPPRESSED,
    }
    assert (mailout.candidates, mailout.eligible) == (14, 2)
    eligible = Message.objects.filter(mailout_id=mailout.pk, state=MessageState.QUEUED)
    assert sorted(eligible.values_list("n", flat=True)) == [1, 2]
    assert batches() == [(1, 3)]


def test_whoever_left_an_excluded_list_is_not_excluded_by_it(world: World) -> None:
    away = world.add_list("Away")
    person = world.add_person("ana")
    SubscriptionFactory.create(subscriber=person, list=away, state=SubscriptionState.UNSUBSCRIBED)

    mailout = world.launch(audience=Audience((world.list.pk,), (away.pk,)))

    assert reasons_of(mailout) == {"ana": Reason.NONE}


def test_somebody_on_several_lists_gets_one_message_for_the_first_list_they_are_subscribed_to(world: World) -> None:
    second, third = world.add_list("Second"), world.add_list("Third")
    ana = world.add_person("ana", world.list, second, third)
    ben = world.add_person("ben", second, third)
    cas = world.add_person("cas", world.list, state=SubscriptionState.UNSUBSCRIBED)
    SubscriptionFactory.create(subscriber=cas, list=third)
    dan = world.add_person("dan", world.list, state=SubscriptionState.UNSUBSCRIBED)
    SubscriptionFactory.create(subscriber=dan, list=second, state=SubscriptionState.PENDING)

    mailout = world.launch(audience=Audience((world.list.pk, second.pk, third.pk)))

    rows = Message.objects.filter(mailout_id=mailout.pk).order_by("subscriber_id")
    assert list(rows.values_list("subscriber_id", "list_id", "reason")) == [
        (ana.pk, world.list.pk, 0),
        (ben.pk, second.pk, 0),
        (cas.pk, third.pk, 0),
        (dan.pk, world.list.pk, Reason.UNCONFIRMED),
    ]


def test_nobody_of_another_organization_gets_it_even_from_our_list(world: World) -> None:
    SubscriptionFactory.create(list=world.list)
    world.add_person("ana")

    mailout = world.launch()

    assert reasons_of(mailout) == {"ana": Reason.NONE}


@pytest.mark.parametrize("lists", ["none", "empty"])
def test_an_empty_audience_is_refused_and_leaves_nothing(world: World, lists: str) -> None:
    chosen = {"none": (), "empty": (world.list.pk,)}

    with pytest.raises(NothingToSend):
        world.launch(audience=Audience(chosen[lists]))

    assert Mailout.objects.count() == Message.objects.count() == MessageBatch.objects.count() == 0
    assert MailoutEmail.objects.count() == 0


def test_an_audience_of_people_who_may_not_be_mailed_is_accounted_and_finishes_at_once(
    world: World, raw: Connection
) -> None:
    world.add_people(3, status="bounced")

    mailout = world.launch()
    tick(raw, slots=2)

    assert batches() == []
    assert mailout_account(mailout).reasons == {Reason.BOUNCED: 3}
    assert mailout_progress(mailout).state == MailoutState.FINISHED


def test_a_real_mailout_needs_an_account(world: World) -> None:
    world.add_people(1)

    with pytest.raises(InvalidInput, match="Choose a sending account"):
        world.launch(account=None)

    assert Mailout.objects.count() == 0


def test_batches_are_cut_at_a_thousand(world: World) -> None:
    world.add_people(2001)

    world.launch()

    assert batches() == [(1, 1001), (1001, 2001), (2001, 2002)]
    assert set(MessageBatch.objects.values_list("state", "armed_to")) == {(0, 1), (0, 1001), (0, 2001)}


def test_a_thousand_people_are_one_batch(world: World) -> None:
    world.add_people(1000)

    world.launch()

    assert batches() == [(1, 1001)]


def test_launching_twice_with_one_key_returns_the_first_and_another_key_launches_again(world: World) -> None:
    world.add_people(2)
    first = world.launch("campaign:1", list_label="x" * 300)
    world.add_people(1, start=10)

    again = world.launch("campaign:1")
    second = world.launch("campaign:2")

    assert again.pk == first.pk
    assert Message.objects.filter(mailout_id=first.pk).count() == 2
    assert Message.objects.filter(mailout_id=second.pk).count() == 3
    assert Mailout.objects.get(pk=first.pk).list_label == "x" * 200


def test_the_same_key_of_another_organization_is_another_mailout(world: World) -> None:
    other = make_world(OrganizationFactory.create())
    world.add_people(1)
    other.add_people(1)

    assert world.launch("campaign:1").pk != other.launch("campaign:1").pk


def test_five_launches_at_once_with_one_key_make_one_mailout_and_one_message_per_person(world: World) -> None:
    world.add_people(300)
    barrier = threading.Barrier(5)
    found: list[int] = []

    def launch() -> None:
        barrier.wait()
        try:
            found.append(world.launch("campaign:1").pk)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=launch) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 5
    assert set(found) == {Mailout.objects.get().pk}
    assert Message.objects.count() == 300
    assert batches() == [(1, 301)]
    assert MailoutEmail.objects.count() == 1


def test_an_integrity_error_that_is_no_second_launch_is_raised(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.add_people(1)
    first = world.launch("campaign:1")
    monkeypatch.setattr(launching, "new_mailout_id", lambda at: first.pk)  # the counter went back

    with pytest.raises(IntegrityError):
        world.launch("campaign:2")

    assert Message.objects.count() == 1


def test_the_ledger_holds_one_message_per_person_occurrence_and_mailout(world: World) -> None:
    person = world.add_person("ana")
    mailout = world.launch()
    insert = "INSERT INTO delivery_message (mailout_id, n, subscriber_id, occurrence) VALUES (%s, 99, %s, %s)"

    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(insert, [mailout.pk, person.pk, 0])
    with connection.cursor() as cursor:
        cursor.execute(insert, [mailout.pk, person.pk, 1])

    assert Message.objects.count() == 2


def test_a_big_launch_tells_the_planner(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "ANALYZE_FROM", 300)
    world.add_people(300)

    mailout = world.launch()

    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples FROM pg_class WHERE oid = %s::regclass", [message_table(mailout.pk)])
        assert cursor.fetchone()[0] == 300


# waves


def test_each_person_is_due_at_the_same_wall_clock_time_in_their_own_zone(world: World) -> None:
    world.organization.time_zone = "Europe/Riga"
    world.organization.save()
    zones = ["America/New_York", "", "Asia/Tokyo", "Europe/Helsinki", "Not/AZone", "../etc/passwd"]
    for number, zone in enumerate(zones):
        world.add_people(2, start=number * 10, time_zone=zone)
    world.add_people(1, start=900, time_zone="Asia/Tokyo", status="bounced")

    mailout = world.launch(local_time=datetime(2027, 1, 15, 9, 0))

    due = dict(MessageBatch.objects.order_by("lo").values_list("lo", "due_at"))
    assert due == {
        1: datetime(2027, 1, 15, 0, 0, tzinfo=UTC),  # Tokyo
        3: datetime(2027, 1, 15, 7, 0, tzinfo=UTC),  # Helsinki; Riga for those without a zone that is one
        11: datetime(2027, 1, 15, 14, 0, tzinfo=UTC),  # New York
    }
    assert batches() == [(1, 3), (3, 11), (11, 13)]
    zone_of = dict(Subscriber.objects.values_list("pk", "time_zone"))
    rows = Message.objects.filter(mailout_id=mailout.pk).order_by("n").values_list("subscriber_id", "state")
    assert [(zone_of[pk], state) for pk, state in rows][:2] == [("Asia/Tokyo", 0)] * 2
    assert [(zone_of[pk], state) for pk, state in rows][10:] == [
        ("America/New_York", 0),
        ("America/New_York", 0),
        ("Asia/Tokyo", MessageState.EXCLUDED),
    ]


def test_a_zone_that_comes_up_during_the_launch_goes_with_the_organization(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add_people(2, time_zone="Asia/Tokyo")
    real = launching._waves

    def then_somebody_moves(mailout: Mailout, local_time: datetime) -> dict[str, tuple[int, datetime]]:
        found = real(mailout, local_time)
        world.add_people(1, start=50, time_zone="America/New_York")
        return found

    monkeypatch.setattr(launching, "_waves", then_somebody_moves)

    mailout = world.launch(local_time=datetime(2027, 1, 15, 9, 0))

    assert (mailout.candidates, mailout.eligible) == (3, 3)
    assert batches() == [(1, 3), (3, 4)]


def test_a_wave_is_cut_into_batches_of_its_own(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "BATCH_SIZE", 4)
    world.add_people(5, time_zone="Asia/Tokyo")
    world.add_people(4, start=50, time_zone="Europe/Riga")

    world.launch(local_time=datetime(2027, 1, 15, 9, 0))

    assert batches() == [(1, 5), (5, 6), (6, 10)]
    assert MessageBatch.objects.values("due_at").distinct().count() == 2


def test_only_the_wave_that_is_due_leaves(world: World) -> None:
    world.add_people(2, time_zone="Asia/Tokyo")
    world.add_people(3, start=50, time_zone="Europe/Riga")
    tokyo = datetime.now(ZoneInfo("Asia/Tokyo")).replace(tzinfo=None) - timedelta(minutes=1)

    mailout = world.launch(local_time=tokyo)
    world.run(seconds=1)

    assert world.provider.handed_over == {"p0@example.com": 1, "p1@example.com": 1}
    assert mailout_progress(mailout).waiting == 3


@pytest.mark.parametrize(
    ("wall", "zone", "expected"),
    [
        # 2026-03-29 02:30 does not exist in Berlin: 03:30 of the new time
        (datetime(2026, 3, 29, 2, 30), "Europe/Berlin", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        (datetime(2026, 3, 29, 1, 59), "Europe/Berlin", datetime(2026, 3, 29, 0, 59, tzinfo=UTC)),
        (datetime(2026, 3, 29, 3, 0), "Europe/Berlin", datetime(2026, 3, 29, 1, 0, tzinfo=UTC)),
        # 2026-10-25 02:30 comes twice: the first
        (datetime(2026, 10, 25, 2, 30), "Europe/Berlin", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        (datetime(2026, 10, 25, 3, 0), "Europe/Berlin", datetime(2026, 10, 25, 2, 0, tzinfo=UTC)),
        # half an hour's step, and a zone beyond the date line
        (datetime(2026, 10, 4, 2, 15), "Australia/Lord_Howe", datetime(2026, 10, 3, 15, 45, tzinfo=UTC)),
        (datetime(2026, 1, 1, 0, 0), "Pacific/Kiritimati", datetime(2025, 12, 31, 10, 0, tzinfo=UTC)),
        (datetime(2026, 1, 1, 0, 0), "", datetime(2026, 1, 1, 5, 0, tzinfo=UTC)),
        (datetime(2026, 1, 1, 0, 0), "Nowhere/Else", datetime(2026, 1, 1, 5, 0, tzinfo=UTC)),
        (datetime(2026, 1, 1, 0, 0), "Europe", datetime(2026, 1, 1, 5, 0, tzinfo=UTC)),  # a folder of the database
        (datetime(2026, 1, 1, 0, 0), "a" * 300, datetime(2026, 1, 1, 5, 0, tzinfo=UTC)),
        (datetime(2026, 1, 1, 0, 0), "/etc/localtime", datetime(2026, 1, 1, 5, 0, tzinfo=UTC)),
    ],
)
def test_a_skipped_time_moves_on_and_a_repeated_one_is_the_first(wall: datetime, zone: str, expected: datetime) -> None:
    assert due_in_zone(wall, zone, ZoneInfo("America/New_York")) == expected


# other organizations


@pytest.mark.parametrize("foreign", ["account", "email", "list", "excluded list", "lists"])
def test_nothing_of_another_organization_gets_into_a_mailout(world: World, foreign: str) -> None:
    other = make_world(OrganizationFactory.create())
    other.add_people(2)
    world.add_person("ours")
    mine = world.list.pk
    choices: dict[str, dict[str, Any]] = {
        "account": {"account": other.account},
        "email": {"emails": [other.compiled]},
        "list": {"audience": Audience((other.list.pk,))},
        "excluded list": {"audience": Audience((mine,), (other.list.pk,))},
        "lists": {"audience": Audience((mine, other.list.pk))},
    }

    with pytest.raises(NotFound):
        world.launch(**choices[foreign])

    assert (Mailout.objects.count(), Message.objects.count()) == (0, 0)


def test_an_account_that_was_granted_may_be_used(world: World) -> None:
    other = make_world(OrganizationFactory.create())
    AccountGrant.objects.create(account=other.account, organization=world.organization)
    world.add_person("ours")

    assert world.launch(account=other.account).account == other.account


def test_a_list_that_is_gone_stops_the_launch(world: World) -> None:
    gone = world.add_list("Gone")
    world.add_person("ours")
    gone_id = gone.pk
    gone.delete()

    with pytest.raises(NotFound):
        world.launch(audience=Audience((world.list.pk, gone_id)))


@pytest.mark.parametrize("pace", [0, -1.5])
def test_a_pace_of_nobody_is_refused(world: World, pace: float) -> None:
    world.add_person("ours")

    with pytest.raises(InvalidInput):
        world.launch(rate_limit=pace)


# dry runs


@pytest.mark.parametrize("forced", [True, False])
def test_a_dry_run_simulates_everybody_and_uses_nobodys_quota(
    world: World, raw: Connection, settings: Settings, forced: bool
) -> None:
    settings.SENDING_MODE = "dry_run" if forced else "live"
    world.account.pilot_threshold, world.account.pilot_size, world.account.pilot_wait_seconds = 20, 10, 60
    world.account.save()
    world.add_people(120)
    world.add_person("left", status="unsubscribed")

    mailout = world.launch(is_dry_run=not forced)
    world.run()
    tick(raw, slots=2)

    assert (mailout.is_dry_run, mailout.account, mailout.counts_in_statistics) == (True, None, False)
    assert world.provider.handed_over == {}
    account = mailout_account(mailout)
    assert (account.states["simulated"], account.states["excluded"], account.states["sent"]) == (120, 1, 0)
    progress = mailout_progress(mailout)
    assert (progress.simulated, progress.sent, progress.state) == (120, 0, MailoutState.FINISHED)
    assert AccountUsage.objects.count() == 0
    assert AccountPace.objects.get().day_used == 0


def test_progress_of_a_dry_run_under_way_counts_as_simulated(world: World) -> None:
    world.add_people(3)
    mailout = world.launch(is_dry_run=True)

    world.run()

    progress = mailout_progress(mailout)
    assert (progress.simulated, progress.sent, progress.parked_reason) == (3, 0, "")
