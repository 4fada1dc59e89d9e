"""The loop and its runners where things break or stand still."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from time import monotonic

import psycopg
import pytest
from django.utils import timezone

from delivery.engine import arming, limiter, loop, runner
from delivery.engine.calls import entry_of
from delivery.engine.claiming import claim_batch
from delivery.engine.database import Connection, open_connection
from delivery.engine.emails import EmailCache
from delivery.engine.loop import EngineLoop
from delivery.engine.reading import read_people
from delivery.engine.ticking import tick
from delivery.models import AccountPace, BatchState, Lane, MessageBatch, SendCall
from delivery.providers.base import CallResult, Entry
from delivery.selectors.progress import mailout_progress
from tests.delivery.engine.world import HeldRunner, World, accept


def test_a_deadlock_is_told_apart_from_a_lost_connection(
    world: World, raw: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add_people(2)
    world.launch()
    held = HeldRunner(world)
    held.arm(raw)
    held.gate.set()
    call = held.results.get(timeout=5)
    fail = "DO $$ BEGIN RAISE EXCEPTION 'ring' USING ERRCODE = 'deadlock_detected'; END $$"
    monkeypatch.setattr(arming, "statements", lambda _group: [(fail, {})])

    with pytest.raises(psycopg.errors.DeadlockDetected):
        arming.settle_and_arm(raw, [call], None)
    monkeypatch.undo()

    assert arming.settle_and_arm(raw, [call], None).late == []


def test_a_database_that_is_gone_while_draining_is_come_back_to(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.add_people(100)
    mailout = world.launch()
    engine = world.loop()
    failures = iter([psycopg.OperationalError("gone")])
    original = EngineLoop._step_all

    def step(self: EngineLoop, *, is_stopping: bool) -> bool:
        if is_stopping and (error := next(failures, None)):
            raise error
        return original(self, is_stopping=is_stopping)

    def stop_at_once(entries: list[Entry]) -> CallResult:
        engine._stop.set()
        return accept(entries)

    world.provider.answer = stop_at_once
    monkeypatch.setattr(EngineLoop, "_step_all", step)

    engine.run_slice(slots=2, seconds=5)
    engine.close()

    assert next(failures, None) is None
    progress = mailout_progress(mailout)
    assert progress.sent == sum(world.provider.handed_over.values()) > 0
    assert not SendCall.objects.filter(state=0).exists()


def test_draining_ends_when_a_call_does_not_come_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "DRAIN_SECONDS", 0.3)
    gate = threading.Event()
    world.add_people(10)
    mailout = world.launch()

    def never(entries: list[Entry]) -> CallResult:
        gate.wait(10)
        return accept(entries)

    world.provider.answer = never
    engine = world.loop()

    started = monotonic()
    engine.run_slice(slots=2, seconds=0.2)

    assert monotonic() - started < 5
    assert SendCall.objects.get().state == 0  # left to the reaper
    assert MessageBatch.objects.get().state == BatchState.CLAIMED
    assert mailout_progress(mailout).waiting == 10
    gate.set()
    engine.close()


def test_a_loop_that_never_ran_closes() -> None:
    engine = EngineLoop(make_runner=lambda _account, _results: None, connect=open_connection, stop=threading.Event())

    engine.close()

    assert engine._connection is None


def test_a_broken_connection_is_replaced(world: World, raw: Connection) -> None:
    world.add_people(4)
    mailout = world.launch()
    engine = world.loop()
    first = engine._ready_connection()
    raw.execute("SELECT pg_terminate_backend(%s)", [first.info.backend_pid])
    with pytest.raises(psycopg.OperationalError):
        first.execute("SELECT 1")

    engine.run_slice(slots=2, seconds=3)
    engine.close()

    assert mailout_progress(mailout).sent == 4


def test_a_claim_that_waits_for_its_grant_is_kept_alive_and_given_up_when_it_is_lost(
    world: World, raw: Connection
) -> None:
    world.add_people(10)
    world.launch()
    held = HeldRunner(world)
    AccountPace.objects.update(mail_tat=timezone.now() + timedelta(seconds=60))
    held.arm(raw)
    batch = MessageBatch.objects.get()
    assert (batch.state, batch.armed_to) == (BatchState.CLAIMED, 1)
    assert held.runner.is_waiting
    MessageBatch.objects.update(lease_until=timezone.now() + timedelta(seconds=3))

    held.runner._wake_at = 0.0
    held.runner._settled_at = monotonic() - 11
    held.arm(raw)
    batch.refresh_from_db()
    assert batch.lease_until is not None
    assert (batch.lease_until - timezone.now()).total_seconds() > 20

    MessageBatch.objects.update(claim=5)
    held.runner._wake_at = 0.0
    held.runner._settled_at = monotonic() - 11
    held.arm(raw)

    assert held.runner._batches == []
    assert SendCall.objects.count() == 0


def test_a_grant_that_waited_too_long_is_given_back_and_asked_for_anew(world: World, raw: Connection) -> None:
    world.add_people(10)
    mailout = world.launch()
    held = HeldRunner(world)
    grant = limiter.take(raw, world.account.pk, lane=Lane.CAMPAIGN, wanted=700)
    assert isinstance(grant, limiter.Grant)
    grant.starts_at = monotonic() - 2
    held.runner._grant = grant
    held.gate.set()

    while not SendCall.objects.exists():  # 700 people at 100,000 a second are waited for first
        held.arm(raw)
    held.come_back(1)
    held.settle(raw)

    assert mailout_progress(mailout).sent == 10
    assert AccountPace.objects.get().day_used == 10


def test_a_grant_of_the_future_is_waited_for(world: World, raw: Connection) -> None:
    world.add_people(10)
    world.launch()
    held = HeldRunner(world)
    starts_at = monotonic() + 30
    held.runner._grant = limiter.Grant(world.account.pk, 100, 50, starts_at)

    held.arm(raw)

    # It looks again sooner only for what may overtake this campaign.
    assert held.runner.next_step_at(monotonic()) <= monotonic() + runner.PREEMPT_EVERY_SECONDS
    assert SendCall.objects.count() == 0


def test_a_full_window_arms_nothing_more(world: World, raw: Connection) -> None:
    world.add_people(3000)
    world.launch()
    held = HeldRunner(world)
    for _ in range(5):
        held.runner._wake_at = 0.0
        held.arm(raw)

    assert SendCall.objects.count() == held.runner.window
    assert not held.runner.is_due(monotonic() + 1, is_stopping=False)
    held.gate.set()


def test_work_is_expected_unless_a_claim_waits(world: World, raw: Connection) -> None:
    held = HeldRunner(world)
    held.arm(raw)  # nothing there
    assert held.runner.next_step_at(0.0) > 0.0

    held.runner.expect_work()
    assert held.runner.next_step_at(0.0) == 0.0

    world.add_people(3)
    world.launch()
    AccountPace.objects.update(mail_tat=timezone.now() + timedelta(seconds=60))
    held.arm(raw)
    waits_until = held.runner.next_step_at(0.0)
    held.runner.expect_work()
    assert held.runner.next_step_at(0.0) == waits_until > 0.0


def test_a_lost_commit_without_a_plan_is_resolved_too(
    world: World, raw: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add_people(5)
    mailout = world.launch()
    held = HeldRunner(world)
    held.arm(raw)
    held.come_back(1)

    def lose(*_args: object) -> arming.Committed:
        raise arming.CommitUnknown("lost")

    monkeypatch.setattr("delivery.engine.runner.settle_and_arm", lose)
    connection = held.runner.step(raw, is_stopping=True)
    monkeypatch.undo()
    held.runner.step(connection, is_stopping=True)
    held.runner.release(connection)
    connection.close()
    tick(raw, slots=2)

    assert mailout_progress(mailout).sent == 5
    assert mailout_progress(mailout).state == "finished"


def test_a_message_without_a_mailbox_for_unsubscribing_offers_the_link_alone(world: World, raw: Connection) -> None:
    world.add_person("ana")
    world.launch()
    batch = claim_batch(raw, world.account.pk, turn=0)
    assert batch is not None
    (row,) = read_people(raw, batch, 10, now=timezone.now()).people
    email = replace(EmailCache(world.provider).get(raw, batch.mailout_id, 0), unsubscribe_mailto="")

    ((_name, value),) = entry_of(email, batch, row).headers

    assert value.startswith("<http://testserver/u/")
    assert "mailto" not in value
