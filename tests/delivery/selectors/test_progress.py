"""How a mailout is doing."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from delivery.engine.database import Connection
from delivery.engine.ticking import tick
from delivery.models import AccountPace, Message, MessageBatch, ParkReason, SendCall
from delivery.selectors.progress import mailout_account, mailout_progress
from tests.delivery.engine.world import World


def test_progress_sums_the_batches_and_always_adds_up(world: World) -> None:
    world.add_people(1100)
    world.add_people(3, start=5000, status="bounced")
    mailout = world.launch()
    first, second = MessageBatch.objects.order_by("lo")
    MessageBatch.objects.filter(pk=first.pk).update(sent=500, failed=7, unknown=3, excluded=10, cancelled=5)
    MessageBatch.objects.filter(pk=second.pk).update(sent=50)

    progress = mailout_progress(mailout)

    assert (progress.candidates, progress.sent, progress.simulated) == (1103, 550, 0)
    assert (progress.failed, progress.unknown, progress.excluded, progress.cancelled) == (7, 3, 13, 5)
    assert (progress.waiting, progress.processed) == (525, 578)
    assert (progress.rate, progress.seconds_left, progress.is_finished) == (0.0, None, False)


def test_the_rate_is_that_of_the_calls_of_the_last_seconds(world: World) -> None:
    world.add_people(1000)
    mailout = world.launch()
    now = timezone.now()
    for number, (ago, people) in enumerate(((4.0, 100), (1.0, 300), (9.0, 500))):
        SendCall.objects.create(
            id=f"00000000-0000-0000-0000-00000000000{number}",
            batch_id=1,
            mailout_id=mailout.pk,
            claim=1,
            lo=number * 1000,
            hi=number * 1000 + people,
            state=1,
            checked_at=now,
            armed_at=now,
            settled_at=now - timedelta(seconds=ago),
        )
    MessageBatch.objects.update(sent=400)

    progress = mailout_progress(mailout)

    assert progress.rate == pytest.approx(100, rel=0.1)  # 400 people since four seconds
    assert progress.seconds_left == pytest.approx(6.0, rel=0.1)


def test_whose_clocks_do_not_show_the_time_yet_are_told_apart(world: World) -> None:
    world.add_people(2, time_zone="Asia/Tokyo")
    world.add_people(3, start=50, time_zone="Europe/Riga")
    world.add_people(4, start=100, time_zone="America/New_York")
    tokyo = (timezone.now() - timedelta(minutes=1)).astimezone(ZoneInfo("Asia/Tokyo")).replace(tzinfo=None)

    progress = mailout_progress(world.launch(local_time=tokyo))

    assert (progress.waiting, progress.not_due) == (9, 7)
    assert progress.next_due_at == tokyo.replace(tzinfo=ZoneInfo("Europe/Riga"))


def test_a_parked_account_says_why_and_until_when(world: World) -> None:
    world.add_people(1)
    mailout = world.launch()
    until = timezone.now() + timedelta(hours=1)
    assert mailout_progress(mailout).parked_reason == ""

    AccountPace.objects.update(parked_reason=ParkReason.QUOTA, parked_until=until)
    progress = mailout_progress(mailout)
    assert (progress.parked_reason, progress.parked_until) == (ParkReason.QUOTA, until)

    AccountPace.objects.update(parked_reason=ParkReason.PAUSED, parked_until=None)
    assert mailout_progress(mailout).parked_reason == ParkReason.PAUSED

    AccountPace.objects.update(parked_reason=ParkReason.OUTAGE, parked_until=timezone.now() - timedelta(seconds=1))
    assert mailout_progress(mailout).parked_reason == ""

    AccountPace.objects.update(parked_reason="", probe_seconds=4)
    assert mailout_progress(mailout).parked_reason == "outage"

    AccountPace.objects.all().delete()
    assert mailout_progress(mailout).parked_reason == ""


def test_a_finished_mailout_shows_its_final_account_and_no_park(world: World, raw: Connection) -> None:
    world.add_people(3)
    world.add_people(2, start=50, status="bounced")
    mailout = world.launch()
    world.run()
    tick(raw, slots=2)
    AccountPace.objects.update(parked_reason=ParkReason.PAUSED)
    MessageBatch.objects.all().delete()
    Message.objects.all().delete()

    progress = mailout_progress(mailout)
    account = mailout_account(mailout)

    assert (progress.candidates, progress.sent, progress.excluded, progress.waiting) == (5, 3, 2, 0)
    assert (progress.rate, progress.seconds_left, progress.parked_reason, progress.is_finished) == (0.0, 0.0, "", True)
    assert account.candidates == 5
    assert account.states == {
        "queued": 0,
        "sent": 3,
        "simulated": 0,
        "failed": 0,
        "unknown": 0,
        "excluded": 2,
        "cancelled": 0,
        "held": 0,
    }


def test_the_account_of_an_open_mailout_is_counted_from_every_row(world: World, raw: Connection) -> None:
    world.add_people(4)
    mailout = world.launch()
    raw.execute("UPDATE delivery_message SET state = 5, reason = 10 WHERE n = 1")
    raw.execute("UPDATE delivery_message SET state = 5, reason = 4 WHERE n = 2")

    account = mailout_account(mailout)

    assert (account.candidates, account.states["queued"], account.states["excluded"]) == (4, 2, 2)
    assert [(reason.name, count) for reason, count in account.reasons.items()] == [("UNSUBSCRIBED", 1), ("TOO_LATE", 1)]


def test_progress_is_cheap_however_many_people_there_are(world: World, django_assert_num_queries: object) -> None:
    world.add_people(50)
    mailout = world.launch()

    with django_assert_num_queries(4):  # type: ignore[operator]
        mailout_progress(mailout)
