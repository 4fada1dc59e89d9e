"""The holes of docs/engine.md, each forced open: leases, lost workers, old calls, strays."""

from __future__ import annotations

import threading
from datetime import timedelta
from time import monotonic
from typing import Any

import pytest
from django.utils import timezone

from delivery.engine import arming, runner
from delivery.engine.database import Connection, open_connection
from delivery.engine.finishing import finish_mailouts
from delivery.engine.late import settle_late
from delivery.engine.reaping import reap
from delivery.engine.ticking import tick
from delivery.models import BatchState, CallState, Mailout, Message, MessageBatch, MessageState, SendCall
from delivery.providers.base import CallResult, EntryResult, Outcome
from delivery.selectors.progress import mailout_account, mailout_progress
from tests.delivery.engine.world import HeldRunner, World, accept, expire_leases


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
