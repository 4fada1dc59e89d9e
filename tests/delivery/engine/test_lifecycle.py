"""Pause, resume, stop, a late cut-off and a pace of the mailout's own."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from time import monotonic, sleep

import pytest
import time_machine
from django.db import connections
from django.utils import timezone

from amazonsender.core.errors import Conflict
from delivery.engine.claiming import claim_batch
from delivery.engine.database import Connection
from delivery.engine.ticking import tick
from delivery.models import (
    AccountPace,
    BatchState,
    CallState,
    ExclusionReason,
    Mailout,
    MailoutState,
    Message,
    MessageBatch,
    MessageState,
    ParkReason,
    SendCall,
    StateReason,
)
from delivery.providers.base import CallResult, Entry, EntryResult, Outcome
from delivery.selectors.progress import mailout_account, mailout_progress
from delivery.services.controlling import cancel_mailout, pause_mailout, resume_mailout, set_pace
from tests.delivery.engine.world import HeldRunner, World, accept


def states_of(mailout: Mailout) -> dict[int, int]:
    return dict(Counter(Message.objects.filter(mailout_id=mailout.pk).values_list("state", flat=True)))


def armed_people() -> int:
    calls = SendCall.objects.values_list("lo", "hi")
    return sum(hi - lo for lo, hi in calls)


def test_pausing_stops_arming_with_the_next_step_and_what_is_out_settles(world: World, raw: Connection) -> None:
    world.add_people(1500)
    mailout = world.launch()
    held = HeldRunner(world)
    held.arm(raw)
    armed, calls = armed_people(), SendCall.objects.count()
    assert 0 < armed < 1500

    pause_mailout(mailout=mailout)
    held.runner.step(raw, is_stopping=False)
    held.come_back(calls)
    held.runner.step(raw, is_stopping=False)

    assert mailout.state_reason == StateReason.BY_HAND
    assert SendCall.objects.count() == calls
    assert set(SendCall.objects.values_list("state", flat=True)) == {CallState.SETTLED}
    assert states_of(mailout) == {MessageState.SENT: armed, MessageState.QUEUED: 1500 - armed}
    assert MessageBatch.objects.filter(state=BatchState.CLAIMED).count() == 0
    assert claim_batch(raw, world.account.pk, turn=0) is None


def test_resuming_goes_on_with_exactly_the_rest(world: World, raw: Connection) -> None:
    world.add_people(1500)
    mailout = world.launch()
    held = HeldRunner(world)
    held.arm(raw)
    pause_mailout(mailout=mailout)
    held.come_back(SendCall.objects.count())
    held.settle(raw)
    first = set(world.provider.handed_over)

    resume_mailout(mailout=mailout)
    world.run()
    tick(raw, slots=2)

    assert world.provider.handed_over == {f"p{number}@example.com": 1 for number in range(1500)}
    assert 0 < len(first) < 1500
    assert mailout_progress(mailout).state == MailoutState.FINISHED
    mailout.refresh_from_db()
    assert mailout.lifted_brakes == []


def test_a_plan_made_before_the_pause_is_thrown_away(world: World, raw: Connection) -> None:
    """The pause falls between reading the people and the compare-and-set."""
    world.add_people(10)
    mailout = world.launch()
    held = HeldRunner(world)
    assert len(held.plan(raw).calls) == 1

    pause_mailout(mailout=mailout)
    held.runner.step(raw, is_stopping=False)

    assert SendCall.objects.count() == 0
    assert world.provider.handed_over == {}
    assert MessageBatch.objects.get().armed_to == 1
    assert MessageBatch.objects.get().state == BatchState.READY


def test_stopping_cancels_who_waits_and_the_account_adds_up(world: World, raw: Connection) -> None:
    world.add_people(2200)
    world.add_people(3, start=5000, status="unsubscribed")
    mailout = world.launch()
    held = HeldRunner(world)
    held.arm(raw)
    armed, calls = armed_people(), SendCall.objects.count()

    cancel_mailout(mailout=mailout)
    tick(raw, slots=2)
    mailout.refresh_from_db()
    assert mailout.state == MailoutState.CANCELLING
    assert mailout.finished_at is None

    held.come_back(calls)
    held.settle(raw)
    tick(raw, slots=2)

    progress = mailout_progress(mailout)
    assert progress.state == MailoutState.CANCELLED
    assert progress.is_finished
    assert (progress.candidates, progress.sent, progress.cancelled) == (2203, armed, 2200 - armed)
    assert (progress.excluded, progress.waiting, progress.processed) == (3, 0, 2203)
    assert mailout_account(mailout).reasons == {ExclusionReason.UNSUBSCRIBED: 3}
    assert sum(world.provider.handed_over.values()) == armed
    assert sum(MessageBatch.objects.values_list("cancelled", flat=True)) == 2200 - armed


def test_stopping_a_paused_mailout_sends_nobody_anything(world: World, raw: Connection) -> None:
    world.add_people(5)
    mailout = world.launch()
    pause_mailout(mailout=mailout)

    cancel_mailout(mailout=mailout)
    tick(raw, slots=2)
    world.run(seconds=1)

    assert states_of(mailout) == {MessageState.CANCELLED: 5}
    assert mailout_progress(mailout).state == MailoutState.CANCELLED
    assert world.provider.handed_over == {}


def test_stopping_cancels_people_who_wait_for_another_attempt(world: World, raw: Connection) -> None:
    world.add_people(60)

    def some(entries: list[Entry]) -> CallResult:
        return CallResult(
            [EntryResult(Outcome.RETRY, "", "transient: x")] * 10
            + [EntryResult(Outcome.ACCEPTED, "id", "")] * (len(entries) - 10)
        )

    world.provider.answer = some
    mailout = world.launch()
    world.run(seconds=1)
    assert states_of(mailout)[MessageState.QUEUED] == 20

    cancel_mailout(mailout=mailout)
    tick(raw, slots=2)

    assert states_of(mailout) == {MessageState.SENT: 40, MessageState.CANCELLED: 20}
    assert mailout_progress(mailout).cancelled == 20


def test_pausing_from_one_thread_while_others_send_arms_nothing_afterwards(world: World, raw: Connection) -> None:
    world.add_people(4000)
    mailout = world.launch()

    def slowly(entries: list[Entry]) -> CallResult:
        sleep(0.02)
        return accept(entries)

    world.provider.answer = slowly
    threads = [threading.Thread(target=world.run, kwargs={"seconds": 8}) for _ in range(2)]
    for thread in threads:
        thread.start()
    while Message.objects.filter(mailout_id=mailout.pk, state=MessageState.SENT).count() < 100:
        sleep(0.005)
    pause_mailout(mailout=mailout)
    sleep(0.3)  # for the transaction that was arming at this very moment
    armed_at_pause = armed_people()
    for thread in threads:
        thread.join()

    sent = sum(world.provider.handed_over.values())
    assert armed_people() == armed_at_pause == sent < 4000
    assert states_of(mailout) == {MessageState.SENT: sent, MessageState.QUEUED: 4000 - sent}
    resume_mailout(mailout=mailout)
    world.provider.answer = accept
    world.run(seconds=8)
    assert set(world.provider.handed_over.values()) == {1}
    assert len(world.provider.handed_over) == 4000


@pytest.mark.parametrize(
    ("state", "allowed"),
    [
        (MailoutState.SENDING, {"pause", "cancel"}),
        (MailoutState.PAUSED, {"resume", "cancel"}),
        (MailoutState.CANCELLING, set()),
        (MailoutState.CANCELLED, set()),
        (MailoutState.FINISHED, set()),
    ],
)
def test_what_does_not_fit_the_state_is_refused_and_changes_nothing(
    world: World, state: MailoutState, allowed: set[str]
) -> None:
    world.add_people(1)
    mailout = world.launch()
    acts = {"pause": pause_mailout, "resume": resume_mailout, "cancel": cancel_mailout}
    for name, act in acts.items():
        Mailout.objects.filter(pk=mailout.pk).update(state=state, state_reason="bounces")
        mailout.state = MailoutState.SENDING if name != "resume" else MailoutState.PAUSED  # what a stale page believes
        if name in allowed:
            act(mailout=mailout)
            continue
        with pytest.raises(Conflict, match=f"^It is already “{state.label}”.$"):
            act(mailout=mailout)
        mailout.refresh_from_db()
        assert (mailout.state, mailout.state_reason) == (state, "bounces")


def test_one_of_many_who_pause_at_once_wins(world: World) -> None:
    world.add_people(1)
    mailout = world.launch()
    won: list[int] = []

    def pause(number: int) -> None:
        try:
            pause_mailout(mailout=Mailout.objects.get(pk=mailout.pk))
            won.append(number)
        except Conflict:
            pass
        finally:
            connections.close_all()

    threads = [threading.Thread(target=pause, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(won) == 1


def test_what_is_due_after_the_cut_off_is_left_out_as_too_late(world: World, raw: Connection) -> None:
    world.add_people(70)
    mailout = world.launch(not_after=timezone.now() - timedelta(seconds=1))

    world.run(seconds=2)
    tick(raw, slots=2)

    assert world.provider.handed_over == {}
    assert mailout_account(mailout).reasons == {ExclusionReason.TOO_LATE: 70}
    assert mailout_progress(mailout).state == MailoutState.FINISHED


@pytest.mark.parametrize("apart", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_cut_off_holds_by_the_databases_clock_whatever_the_workers_says(
    world: World, raw: Connection, apart: timedelta
) -> None:
    world.add_people(3)
    now = timezone.now()
    in_time = world.launch("in time", not_after=now + timedelta(minutes=30))
    too_late = world.launch("too late", not_after=now)

    with time_machine.travel(now + apart, tick=True):
        world.run(seconds=2)

    assert mailout_progress(in_time).sent == 3
    assert mailout_account(too_late).reasons == {ExclusionReason.TOO_LATE: 3}
    checked, armed = raw.execute("SELECT checked_at, armed_at FROM delivery_send_call").fetchone() or (now, now)
    assert now < checked < armed < timezone.now()


def test_who_is_too_late_does_not_wait_for_a_parked_account(world: World, raw: Connection) -> None:
    world.add_people(1200)
    AccountPace.objects.update(parked_reason=ParkReason.QUOTA, max_rate=1)
    mailout = world.launch(not_after=timezone.now() - timedelta(seconds=1))

    world.run(seconds=2)
    tick(raw, slots=2)

    assert mailout_account(mailout).reasons == {ExclusionReason.TOO_LATE: 1200}
    assert mailout_progress(mailout).state == MailoutState.FINISHED
    assert AccountPace.objects.get().day_used == 0


def test_a_cut_off_in_the_middle_leaves_the_rest_out(world: World, raw: Connection) -> None:
    world.add_people(1500)
    mailout = world.launch(not_after=timezone.now() + timedelta(hours=1))
    held = HeldRunner(world)
    held.arm(raw)
    armed = armed_people()
    Mailout.objects.filter(pk=mailout.pk).update(not_after=timezone.now())
    held.come_back(SendCall.objects.count())
    held.settle(raw)

    world.run(seconds=2)
    tick(raw, slots=2)

    assert mailout_account(mailout).reasons == {ExclusionReason.TOO_LATE: 1500 - armed}
    assert mailout_progress(mailout).sent == armed


@pytest.mark.usefixtures("patient")
def test_a_mailouts_own_pace_holds_below_its_accounts(world: World) -> None:
    world.add_people(200)
    mailout = world.launch(rate_limit=50.0)

    started = monotonic()
    world.run(seconds=2)
    seconds = monotonic() - started

    sent = sum(world.provider.handed_over.values())
    assert 50 <= sent <= 50 * (seconds + 0.1) * 1.1 + 5
    assert mailout_progress(mailout).waiting == 200 - sent
    assert max(len(call) for call in world.provider.calls) <= 5


@pytest.mark.usefixtures("patient")
def test_a_pace_that_is_lifted_lets_the_rest_go_at_once(world: World, raw: Connection) -> None:
    world.add_people(120)
    mailout = world.launch(rate_limit=1.0)
    world.run(seconds=0.5)
    assert sum(world.provider.handed_over.values()) == 1

    set_pace(mailout=mailout, rate_limit=None)
    world.run()
    tick(raw, slots=2)

    assert mailout.rate_limit is None
    assert mailout_progress(mailout).sent == 120
    assert set(world.provider.handed_over.values()) == {1}
