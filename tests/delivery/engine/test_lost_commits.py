"""A database that goes away around a commit: nobody is lost, and nobody gets two."""

from __future__ import annotations

from time import monotonic

import psycopg
import pytest

from delivery.engine import arming, loop, runner
from delivery.engine.calls import Call
from delivery.engine.claiming import accounts_with_due_work
from delivery.engine.database import Connection, open_connection
from delivery.engine.late import settle_late
from delivery.engine.reaping import reap
from delivery.engine.ticking import tick
from delivery.models import CallState, EngineSlot, MessageBatch, SendCall
from delivery.selectors.progress import mailout_progress
from tests.delivery.engine.world import HeldRunner, World, assert_everybody_got_it_once, expire_leases


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
