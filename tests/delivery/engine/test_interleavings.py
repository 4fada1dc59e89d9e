"""Holes that open only between two transactions, each held open by force while the other runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic, sleep
from typing import Any

import pytest
from django.db import connections, transaction

from delivery.engine.arming import settle_and_arm
from delivery.engine.calls import Call
from delivery.engine.database import Connection, open_connection
from delivery.engine.finishing import finish_mailouts
from delivery.engine.reaping import reap
from delivery.engine.ticking import tick
from delivery.models import (
    BatchState,
    CallState,
    ExclusionReason,
    Mailout,
    MailoutState,
    Message,
    MessageBatch,
    MessageState,
    SendCall,
    StatEmail,
)
from delivery.providers.base import CallResult, EntryResult, Outcome
from delivery.selectors.progress import mailout_account, mailout_progress
from delivery.services import launching
from delivery.services.controlling import cancel_mailout
from delivery.services.events import process_inbox
from tests.delivery.engine.world import HeldRunner, World
from tests.delivery.events.notifications import event, store


def armed_and_answered(world: World, raw: Connection) -> list[Call]:
    """Arm what is due in one worker; the calls with their answers, which nobody has settled."""
    held = HeldRunner(world)
    known = SendCall.objects.count()
    while SendCall.objects.count() == known:  # the grant may start a moment later
        held.arm(raw)
    held.gate.set()
    return [held.results.get(timeout=5) for _ in range(SendCall.objects.count() - known)]


class Beside:
    """Something that runs in a thread of its own while the test holds a transaction open."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.result: Any = None
        self.error: Exception | None = None

        def run() -> None:
            try:
                self.result = work()
            except Exception as error:  # noqa: BLE001 - told to the test
                self.error = error
            finally:
                connections.close_all()

        self._thread = threading.Thread(target=run)
        self._thread.start()

    @property
    def is_waiting(self) -> bool:
        return self._thread.is_alive()

    def end(self) -> Any:
        self._thread.join(10)
        assert not self.is_waiting
        if self.error is not None:
            raise self.error
        return self.result


def wait_for_a_lock(raw: Connection) -> None:
    """Until somebody waits for a row that another transaction has locked."""
    deadline = monotonic() + 10
    while raw.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ).fetchone() == (0,):
        assert monotonic() < deadline, "nobody waits"
        sleep(0.01)


def test_two_launches_that_write_at_once_never_hold_each_others_people(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add_people(2500)
    both_have_written = threading.Barrier(2)
    freeze = launching._freeze_audience

    def freeze_and_wait(*args: Any) -> None:
        freeze(*args)
        both_have_written.wait(10)  # neither has committed

    monkeypatch.setattr(launching, "_freeze_audience", freeze_and_wait)
    other = Beside(lambda: world.launch("campaign:2"))
    mailouts = [world.launch("campaign:1"), other.end()]

    for mailout in mailouts:
        numbers = Message.objects.filter(mailout_id=mailout.pk).order_by("n").values_list("n", flat=True)
        assert list(numbers) == list(range(1, 2501))
        ranges = MessageBatch.objects.filter(mailout_id=mailout.pk).order_by("lo").values_list("lo", "hi")
        assert list(ranges) == [(1, 1001), (1001, 2001), (2001, 2501)]
    world.run(seconds=10)
    assert [mailout_progress(mailout).sent for mailout in mailouts] == [2500, 2500]
    assert set(world.provider.handed_over.values()) == {2}


def test_two_last_settlers_that_do_not_see_each_other_leave_the_finish_to_a_tick_that_sees_both(
    world: World, raw: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "BATCH_SIZE", 5)
    world.add_people(10)
    mailout = world.launch()
    first, second = armed_and_answered(world, raw), armed_and_answered(world, raw)
    assert {call.batch.id for call in first}.isdisjoint(call.batch.id for call in second)

    with open_connection() as other:
        with other.transaction():
            settle_and_arm(other, first, None)
            settle_and_arm(raw, second, None)  # the last one, as far as the database can tell
            assert finish_mailouts(raw) == []
        assert Mailout.objects.get().finished_at is None  # nor did the other one, who was the last in truth

    assert finish_mailouts(raw) == [mailout.pk]
    assert mailout_account(mailout).states["sent"] == 10


def test_a_tick_while_a_refusal_is_being_settled_never_finishes_what_has_to_be_tried_again(
    world: World, raw: Connection
) -> None:
    world.add_people(3)
    mailout = world.launch()
    calls = armed_and_answered(world, raw)
    calls[0].result = CallResult([EntryResult(Outcome.RETRY, "", "transient: x")] * 3)

    with open_connection() as other, other.transaction():
        settle_and_arm(other, calls, None)
        assert finish_mailouts(raw) == []  # the call still looks armed
    assert finish_mailouts(raw) == []  # the same transaction that closed it has packed them again

    assert MessageBatch.objects.filter(members=[1, 2, 3], state=BatchState.READY).count() == 1
    raw.execute("UPDATE delivery_message_batch SET due_at = clock_timestamp()")
    world.run()
    assert finish_mailouts(raw) == [mailout.pk]
    assert mailout_account(mailout).states["sent"] == 3


def test_a_reaper_that_meets_a_worker_who_is_settling_gives_up_nobody(world: World, raw: Connection) -> None:
    world.add_people(40)
    mailout = world.launch()
    calls = armed_and_answered(world, raw)
    raw.execute("UPDATE delivery_message_batch SET lease_until = clock_timestamp() - interval '1 s'")

    with open_connection() as reaper:
        with open_connection() as worker, worker.transaction():
            settle_and_arm(worker, calls, None)
            reaping = Beside(lambda: reap(reaper))
            wait_for_a_lock(raw)
        unknown = reaping.end()

    assert unknown == 0
    assert mailout_progress(mailout).sent == 40
    assert set(SendCall.objects.values_list("state", flat=True)) == {CallState.SETTLED}
    tick(raw, slots=2)
    assert mailout_account(mailout).states["sent"] == 40


def test_an_event_that_meets_the_settling_of_its_message_waits_and_both_count(world: World, raw: Connection) -> None:
    world.add_people(20)
    mailout = world.launch()
    calls = armed_and_answered(world, raw)
    store(*(event("delivery", mailout_id=mailout.pk, n=n, to=f"p{n - 1}@example.com") for n in range(20, 0, -1)))

    with open_connection() as worker, worker.transaction():
        settle_and_arm(worker, calls, None)
        processing = Beside(process_inbox)
        wait_for_a_lock(raw)
    assert processing.end() == 20

    assert Message.objects.filter(mailout_id=mailout.pk, state=MessageState.SENT, delivered_at=None).count() == 0
    assert mailout_progress(mailout).sent == 20
    assert StatEmail.objects.get().uniq == 20


def test_a_settling_that_meets_the_event_of_its_message_waits_and_both_count(world: World, raw: Connection) -> None:
    world.add_people(20)
    mailout = world.launch()
    calls = armed_and_answered(world, raw)
    store(*(event("delivery", mailout_id=mailout.pk, n=n, to=f"p{n - 1}@example.com") for n in range(20, 0, -1)))

    with open_connection() as worker:
        with transaction.atomic():
            assert process_inbox() == 20
            settling = Beside(lambda: settle_and_arm(worker, calls, None))
            wait_for_a_lock(raw)
        settling.end()

    assert Message.objects.filter(mailout_id=mailout.pk, state=MessageState.SENT, delivered_at=None).count() == 0
    assert mailout_progress(mailout).sent == 20
    assert StatEmail.objects.get().uniq == 20
    tick(raw, slots=2)
    assert mailout_account(mailout).states["sent"] == 20


def test_a_plan_made_before_the_stop_is_thrown_away_and_its_people_are_cancelled(world: World, raw: Connection) -> None:
    world.add_people(10)
    mailout = world.launch()
    held = HeldRunner(world)
    assert len(held.plan(raw).calls) == 1

    cancel_mailout(mailout=mailout)
    held.arm(raw)
    tick(raw, slots=2)

    assert world.provider.handed_over == {}
    assert SendCall.objects.count() == 0
    assert mailout_progress(mailout).state == MailoutState.CANCELLED
    assert mailout_account(mailout).states["cancelled"] == 10


def test_a_stop_that_meets_an_arming_cancels_only_who_was_not_armed(world: World, raw: Connection) -> None:
    """The arming transaction is open while the stop is committed and a tick cancels."""
    world.add_people(1500)
    mailout = world.launch()
    held = HeldRunner(world)

    with open_connection() as worker:
        with worker.transaction():
            held.arm(worker)  # armed, and not yet committed
            cancel_mailout(mailout=mailout)
            assert finish_mailouts(raw) == []
        armed = sum(hi - lo for lo, hi in SendCall.objects.values_list("lo", "hi"))
        assert 0 < armed < 1000
        held.come_back(SendCall.objects.count())
        held.settle(worker)
    tick(raw, slots=2)

    account = mailout_account(mailout).states
    assert (account["sent"], account["cancelled"]) == (armed, 1500 - armed)
    assert sum(world.provider.handed_over.values()) == armed


def test_somebody_whose_leaving_commits_only_after_the_launch_is_left_out_when_they_are_armed(
    world: World, raw: Connection
) -> None:
    """The launch cannot see it, and the moment of leaving lies before the launch's."""
    world.add_people(2)

    with open_connection() as other, other.transaction():
        other.execute(
            "UPDATE subscribers_subscriber SET status = 'unsubscribed', opted_out_at = clock_timestamp()"
            " WHERE email = 'p1@example.com'"
        )
        mailout = world.launch()
    assert mailout.eligible == 2
    world.run()
    tick(raw, slots=2)

    assert world.provider.handed_over == {"p0@example.com": 1}
    assert mailout_account(mailout).reasons == {ExclusionReason.UNSUBSCRIBED: 1}
