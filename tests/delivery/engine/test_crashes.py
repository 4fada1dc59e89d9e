"""The holes of docs/engine.md, each forced open: leases, lost workers, lost commits, old calls, strays."""

from __future__ import annotations

import threading
from datetime import timedelta
from time import monotonic
from typing import Any

import psycopg
import pytest
from django.utils import timezone

from delivery.engine import arming, loop, runner
from delivery.engine.calls import Call
from delivery.engine.claiming import accounts_with_due_work
from delivery.engine.database import Connection, open_connection
from delivery.engine.finishing import finish_mailouts
from delivery.engine.late import settle_late
from delivery.engine.reaping import reap
from delivery.engine.ticking import tick
from delivery.models import BatchState, CallState, EngineSlot, Mailout, Message, MessageBatch, MessageState, SendCall
from delivery.providers.base import CallResult, EntryResult, Outcome
from delivery.selectors.progress import mailout_account, mailout_progress
from tests.delivery.engine.world import HeldRunner, World, accept


def assert_everybody_got_it_once(world: World, mailout: Mailout, people: int) -> None:
    progress = mailout_progress(mailout)
    assert (progress.sent, progress.unknown, progress.waiting) == (people, 0, 0)
    assert set(world.provider.handed_over.values()) == {1}


def expire_leases(raw: Connection) -> None:
    raw.execute("UPDATE delivery_message_batch SET lease_until = clock_timestamp() - interval '1 s' WHERE state = 1")


def test_a_killed_worker_leaves_exactly_its_armed_people_unknown_and_the_rest_is_sent(
    world: World, raw: Connection
) -> None:
    world.add_people(1700)
    mailout = world.launch()
    held = HeldRunner(world)
    held.arm(raw)
    armed = sum(SendCall.objects.values_list("hi", flat=True)) - sum(SendCall.objects.values_list("lo", flat=True))
    assert 0 < armed <= 1000

    expire_leases(raw)
    unknown = reap(raw)
    world.provider.answer = accept
    world.run()
    tick(raw, slots=2)

    assert unknown == armed
    progress = mailout_progress(mailout)
    assert (progress.unknown, progress.sent, progress.state) == (armed, 1700 - armed, "finished")
    assert set(SendCall.objects.filter(state=CallState.LOST).values_list("claim", flat=True)) == {1}
    held.gate.set()


def test_a_worker_that_lost_its_lease_can_neither_arm_nor_move_the_batch_and_its_late_answers_are_the_truth(
    world: World, raw: Connection
) -> None:
    world.add_people(300)
    mailout = world.launch()
    held = HeldRunner(world)
    held.arm(raw)
    calls = SendCall.objects.count()
    expire_leases(raw)
    reap(raw)
    assert mailout_progress(mailout).unknown == 300

    held.come_back(calls)
    held.runner.step(raw, is_stopping=True)
    tick(raw, slots=2)

    progress = mailout_progress(mailout)
    assert (progress.sent, progress.unknown, progress.state) == (300, 0, "finished")
    assert set(Message.objects.filter(mailout_id=mailout.pk).values_list("provider_id", flat=True)) != {None}
    assert set(world.provider.handed_over.values()) == {1}


def test_a_late_refusal_packs_the_person_again_and_a_late_rejection_fails(world: World, raw: Connection) -> None:
    world.add_people(2)
    mailout = world.launch()
    held = HeldRunner(world)
    held.arm(raw)
    expire_leases(raw)
    reap(raw)
    held.gate.set()
    call = held.results.get(timeout=5)
    call.result = CallResult(
        [EntryResult(Outcome.RETRY, "", "throttled: x"), EntryResult(Outcome.REJECTED, "", "rejected: y")]
    )

    settle_late(raw, [call])
    settle_late(raw, [call])

    states = dict(Message.objects.filter(mailout_id=mailout.pk).values_list("n", "state"))
    assert states == {1: MessageState.QUEUED, 2: MessageState.FAILED}
    assert list(MessageBatch.objects.exclude(members=None).values_list("members", "attempt")) == [([1], 1)]
    progress = mailout_progress(mailout)
    assert (progress.unknown, progress.failed, progress.waiting) == (0, 1, 1)


def test_answers_after_the_end_leave_nobody_waiting_and_are_counted_again(world: World, raw: Connection) -> None:
    world.add_people(3)
    mailout = world.launch()
    held = HeldRunner(world)
    held.arm(raw)
    expire_leases(raw)
    reap(raw)
    tick(raw, slots=2)
    mailout.refresh_from_db()
    assert (mailout.state, mailout_account(mailout).states["unknown"]) == ("finished", 3)
    held.gate.set()
    call = held.results.get(timeout=5)
    call.result = CallResult(
        [
            EntryResult(Outcome.ACCEPTED, "id-1", ""),
            EntryResult(Outcome.RETRY, "", "throttled: x"),
            EntryResult(Outcome.AMBIGUOUS, "", "timeout: y"),
        ]
    )

    settle_late(raw, [call])
    tick(raw, slots=2)

    states = dict(Message.objects.filter(mailout_id=mailout.pk).values_list("n", "state"))
    assert states == {1: MessageState.SENT, 2: MessageState.FAILED, 3: MessageState.UNKNOWN}
    assert Message.objects.get(n=2).error == "throttled: x"
    assert not MessageBatch.objects.exclude(members=None).exists()
    mailout.refresh_from_db()
    counted = mailout_account(mailout).states
    assert (counted["sent"], counted["failed"], counted["unknown"]) == (1, 1, 1)


def test_a_late_answer_about_an_earlier_attempt_moves_nobody(world: World, raw: Connection) -> None:
    world.add_people(1)
    world.launch()
    held = HeldRunner(world)
    held.arm(raw)
    expire_leases(raw)
    reap(raw)
    held.gate.set()
    call = held.results.get(timeout=5)
    call.result = CallResult([EntryResult(Outcome.RETRY, "", "throttled: x")])
    raw.execute("UPDATE delivery_message SET attempt = 1")  # sent again by somebody's decision, and unknown again

    settle_late(raw, [call])

    assert Message.objects.get().state == MessageState.UNKNOWN
    assert not MessageBatch.objects.exclude(members=None).exists()


def test_a_late_answer_of_a_dry_run_is_simulated_not_sent(world: World, raw: Connection) -> None:
    world.add_people(1)
    world.launch()
    held = HeldRunner(world)
    held.arm(raw)
    expire_leases(raw)
    reap(raw)
    held.gate.set()
    call = held.results.get(timeout=5)
    call.batch.is_dry_run = True

    settle_late(raw, [call])

    assert Message.objects.get().state == MessageState.SIMULATED


def test_a_process_that_stood_still_behind_the_commit_finds_its_calls_too_old(
    world: World, raw: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped for longer than a lease, its people are unknown and may have left meanwhile: nothing goes out."""
    world.add_people(5)
    world.launch()
    held = HeldRunner(world)
    held.gate.set()
    commit, skipped = arming.settle_and_arm, 0.0

    def commit_and_stand_still(*args: Any) -> arming.Committed:
        nonlocal skipped
        done = commit(*args)
        skipped = 60.0
        return done

    monkeypatch.setattr(runner, "settle_and_arm", commit_and_stand_still)
    monkeypatch.setattr(runner, "monotonic", lambda: monotonic() + skipped)
    held.runner._sender._clock = lambda: monotonic() + skipped

    held.arm(raw)
    held.come_back(1)

    assert world.provider.handed_over == {}


def test_calls_too_old_to_go_out_are_known_not_to_be_sent_also_after_the_reaper_gave_them_up(
    world: World, raw: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A laptop that slept: the calls that it had armed never left, so nobody of them stays without an answer."""
    world.add_people(120)
    mailout = world.launch()
    held = HeldRunner(world)
    held.gate.set()
    monkeypatch.setattr("delivery.engine.sending.START_WITHIN_SECONDS", -1.0)
    held.arm(raw)
    calls = SendCall.objects.count()
    expire_leases(raw)
    assert reap(raw) == mailout_progress(mailout).unknown == 120

    held.come_back(calls)
    held.settle(raw)

    progress = mailout_progress(mailout)
    assert (progress.unknown, progress.waiting) == (0, 120)
    assert set(SendCall.objects.values_list("state", flat=True)) == {CallState.NOT_SENT}
    monkeypatch.setattr("delivery.engine.sending.START_WITHIN_SECONDS", 10.0)
    world.run()
    tick(raw, slots=2)
    assert mailout_progress(mailout).sent == 120
    assert set(world.provider.handed_over.values()) == {1}


def test_an_expired_lease_that_its_worker_renewed_is_left_alone(world: World, raw: Connection) -> None:
    world.add_people(10)
    world.launch()
    held = HeldRunner(world)
    held.arm(raw)

    assert reap(raw) == 0
    assert MessageBatch.objects.get().state == BatchState.CLAIMED
    held.gate.set()


def test_a_call_that_waited_too_long_is_not_sent_and_its_people_are_packed_again(
    world: World, raw: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add_people(30)
    mailout = world.launch()
    monkeypatch.setattr("delivery.engine.sending.START_WITHIN_SECONDS", -1.0)
    world.run(seconds=1)
    assert world.provider.handed_over == {}
    assert set(SendCall.objects.values_list("state", flat=True)) == {CallState.NOT_SENT}
    monkeypatch.setattr("delivery.engine.sending.START_WITHIN_SECONDS", 10.0)

    world.run()
    tick(raw, slots=2)

    assert mailout_progress(mailout).sent == 30
    assert set(world.provider.handed_over.values()) == {1}


class LostCommit:
    """A connection that breaks in COMMIT, after or before the server has done it."""

    def __init__(self, *, committed: bool) -> None:
        self.committed = committed
        self.fired = False
        self.original = arming.settle_and_arm

    def __call__(self, connection: Connection, finished: list[Call], plan: arming.ArmPlan | None) -> arming.Committed:
        if self.fired or (plan is not None and not plan.calls):
            return self.original(connection, finished, plan)
        self.fired = True
        if self.committed:
            position = plan.batch.armed_to if plan else 0
            self.original(connection, finished, plan)
            if plan:
                plan.batch.armed_to = position  # this worker never heard of it
        connection.close()
        raise arming.CommitUnknown("connection lost")


@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.parametrize("skip", [0, 1])
def test_a_lost_commit_loses_nobody_and_sends_nobody_twice(
    world: World, raw: Connection, monkeypatch: pytest.MonkeyPatch, committed: bool, skip: int
) -> None:
    world.add_people(700)
    mailout = world.launch()
    lost = LostCommit(committed=committed)
    skipped = 0

    def settle(connection: Connection, finished: list[Call], plan: arming.ArmPlan | None) -> arming.Committed:
        nonlocal skipped
        if skipped < skip:
            skipped += 1
            return lost.original(connection, finished, plan)
        return lost(connection, finished, plan)

    monkeypatch.setattr("delivery.engine.runner.settle_and_arm", settle)
    world.run(seconds=2)
    assert lost.fired
    expire_leases(raw)
    reap(raw)
    world.run(seconds=2)
    tick(raw, slots=2)

    assert_everybody_got_it_once(world, mailout, 700)


def closed_connection() -> Connection:
    connection = open_connection()
    connection.close()
    return connection


def test_results_outlive_a_database_that_is_gone_when_they_are_to_be_settled(world: World, raw: Connection) -> None:
    world.add_people(300)
    mailout = world.launch()
    held = HeldRunner(world)
    held.arm(raw)
    held.come_back(SendCall.objects.count())

    with pytest.raises(psycopg.OperationalError):
        held.runner.step(closed_connection(), is_stopping=False)
    held.settle(raw)

    assert held.runner.is_busy is False
    assert mailout_progress(mailout).sent == 300


@pytest.mark.parametrize("committed", [True, False])
def test_a_lost_commit_stays_in_doubt_until_the_database_is_back(
    world: World, raw: Connection, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    world.add_people(120)
    mailout = world.launch()
    held = HeldRunner(world)
    held.gate.set()
    monkeypatch.setattr(runner, "settle_and_arm", LostCommit(committed=committed))

    def refuse() -> Connection:
        raise psycopg.OperationalError("the database is starting up")

    held.runner._connect = refuse
    with pytest.raises(psycopg.OperationalError):
        held.runner.step(open_connection(), is_stopping=False)
    assert held.runner.is_busy
    assert held.runner.is_due(monotonic(), is_stopping=True)  # to look again, though no result came
    held.settle(raw)
    world.run(seconds=2)
    tick(raw, slots=2)

    assert_everybody_got_it_once(world, mailout, 120)


def test_what_is_armed_goes_out_and_late_answers_are_kept_when_the_database_breaks_between_them(
    world: World, raw: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add_people(1300)
    mailout = world.launch()
    held = HeldRunner(world)
    held.arm(raw)
    first = SendCall.objects.count()
    expire_leases(raw)
    unknown = reap(raw)
    held.come_back(first)

    def break_(_connection: Connection, calls: list[Call]) -> None:
        assert len(calls) == first
        raise psycopg.OperationalError("connection lost")

    held.runner._batches.clear()  # its worker lost the first batch; the second one is claimed and armed
    with monkeypatch.context() as patch:
        patch.setattr(runner, "settle_late", break_)
        with pytest.raises(psycopg.OperationalError):
            held.runner.step(raw, is_stopping=False)
    armed = SendCall.objects.filter(state=CallState.ARMED).count()
    assert unknown > 0
    assert armed > 0
    held.come_back(armed)
    held.settle(raw)
    world.run(seconds=2)
    tick(raw, slots=2)

    assert_everybody_got_it_once(world, mailout, 1300)


def test_a_slice_goes_on_when_the_database_is_back(
    world: World, raw: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its calls are out, and only this process will hear of them."""
    world.add_people(1300)
    mailout = world.launch()
    looks = 0

    def look_or_break(connection: Connection) -> list[int]:
        nonlocal looks
        looks += 1
        if looks == 2:
            connection.close()
        return accounts_with_due_work(connection)

    monkeypatch.setattr(loop, "accounts_with_due_work", look_or_break)
    monkeypatch.setattr(loop, "LOOK_EVERY_SECONDS", 0.0)

    world.run(seconds=3)
    tick(raw, slots=2)

    assert looks > 2
    progress = mailout_progress(mailout)
    assert (progress.sent, progress.unknown, progress.waiting) == (1300, 0, 0)
    assert not EngineSlot.objects.exclude(owner=None).exists()


def test_settling_twice_changes_nothing(world: World, raw: Connection) -> None:
    world.add_people(60)
    mailout = world.launch()
    held = HeldRunner(world)
    held.arm(raw)
    held.gate.set()
    calls = [held.results.get(timeout=5) for _ in range(SendCall.objects.count())]

    arming.settle_and_arm(raw, calls, None)
    before = list(MessageBatch.objects.values())
    committed = arming.settle_and_arm(raw, calls, None)

    assert committed.late == calls
    settle_late(raw, committed.late)
    assert list(MessageBatch.objects.values()) == before
    assert mailout_progress(mailout).sent == 60


def test_a_stray_is_packed_again_by_one_of_two_ticks_and_mailed_once(world: World, raw: Connection) -> None:
    world.add_people(5)
    mailout = world.launch()
    MessageBatch.objects.all().delete()
    with open_connection() as second:
        threads = [threading.Thread(target=finish_mailouts, args=(connection,)) for connection in (raw, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert list(MessageBatch.objects.values_list("members", flat=True)) == [[1, 2, 3, 4, 5]]
    world.run()
    tick(raw, slots=2)
    assert mailout_progress(mailout).state == "finished"
    assert set(world.provider.handed_over.values()) == {1}


def test_the_last_two_settlers_do_not_finish_a_mailout_the_tick_does(world: World, raw: Connection) -> None:
    world.add_people(1)
    mailout = world.launch()
    world.run()

    mailout.refresh_from_db()
    assert mailout.finished_at is None
    assert finish_mailouts(raw) == [mailout.pk]
    assert finish_mailouts(raw) == []


def test_two_workers_share_a_mailout_and_nobody_gets_two(world: World, raw: Connection) -> None:
    world.add_people(5000)
    mailout = world.launch()
    threads = [threading.Thread(target=world.run, kwargs={"seconds": 10}) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tick(raw, slots=2)

    assert mailout_progress(mailout).sent == 5000
    assert set(world.provider.handed_over.values()) == {1}


def test_a_database_that_breaks_while_settling_raises_commit_unknown(world: World, raw: Connection) -> None:
    world.add_people(1)
    world.launch()
    held = HeldRunner(world)
    held.arm(raw)
    held.gate.set()
    call = held.results.get(timeout=5)
    with open_connection() as doomed:
        with open_connection() as killer:
            killer.execute("SELECT pg_terminate_backend(%s)", [doomed.info.backend_pid])
        with pytest.raises(arming.CommitUnknown):
            arming.settle_and_arm(doomed, [call], None)


def test_a_deadlock_leaves_the_results_to_be_applied_again(
    world: World, raw: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add_people(20)
    mailout = world.launch()
    failures = iter([psycopg.errors.DeadlockDetected("deadlock")])
    original = arming.settle_and_arm

    def settle(connection: Connection, finished: list[Call], plan: arming.ArmPlan | None) -> arming.Committed:
        if finished and (error := next(failures, None)):
            raise error
        return original(connection, finished, plan)

    monkeypatch.setattr("delivery.engine.runner.settle_and_arm", settle)
    world.run()
    tick(raw, slots=2)

    assert mailout_progress(mailout).sent == 20


def test_calls_of_a_mailout_that_finished_a_week_ago_are_cleared(world: World, raw: Connection) -> None:
    from delivery.engine.ticking import clear_old_calls

    world.add_people(1)
    mailout = world.launch()
    world.run()
    tick(raw, slots=2)
    assert clear_old_calls(raw) == 0

    Mailout.objects.filter(pk=mailout.pk).update(finished_at=timezone.now() - timedelta(days=8))

    assert clear_old_calls(raw) == 1


def test_somebody_whose_event_came_is_no_unknown_when_the_worker_is_lost(world: World, raw: Connection) -> None:
    world.add_people(4)
    mailout = world.launch()
    held = HeldRunner(world)
    held.arm(raw)
    raw.execute("UPDATE delivery_message SET provider_id = 'seen', sent_at = now() WHERE n = 3")

    expire_leases(raw)
    assert reap(raw) == 3
    tick(raw, slots=2)

    progress = mailout_progress(mailout)
    assert (progress.sent, progress.unknown, progress.state) == (1, 3, "finished")
    held.gate.set()
