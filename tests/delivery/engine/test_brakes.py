"""Every brake against two engine loops that are in the middle of sending: how many more go out, what is said, and
how it goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from time import monotonic, sleep

import pytest

from delivery.engine import limiter
from delivery.engine.database import Connection
from delivery.engine.runner import EXTRA_CALLS
from delivery.engine.signals import LAST_CALLS
from delivery.engine.ticking import tick
from delivery.models import AccountPace, Mailout, Message, MessageState, ParkReason, SendCall, StateReason
from delivery.providers.base import CallResult, Entry, EntryResult, Outcome, Signal
from delivery.selectors.progress import mailout_progress
from delivery.services.controlling import resume_mailout
from subscribers.models import Subscriber
from tests.delivery.engine.world import World, accept
from tests.delivery.events.notifications import deliver, event

LOOPS = 2
THREADS = 4
WINDOW = THREADS + EXTRA_CALLS  # calls that one process may have armed
MOST_FURTHER = LOOPS * WINDOW * 50
PEOPLE = 4000


@pytest.fixture
def mailout(world: World) -> Mailout:
    """4,000 people at 1,000 a second, without a pilot."""
    world.account.pilot_threshold = PEOPLE
    world.account.save()
    AccountPace.objects.update(max_rate=1000)
    world.add_people(PEOPLE)
    return world.launch()


@contextmanager
def sending(world: World, *, until: int = 300) -> Iterator[None]:
    """Two loops that send, from the moment at which so many were handed over until both have ended."""

    def run() -> None:
        loop = world.loop(threads=THREADS)
        try:
            loop.run_slice(slots=LOOPS, seconds=6)
        finally:
            loop.close()

    threads = [threading.Thread(target=run) for _ in range(LOOPS)]
    for thread in threads:
        thread.start()
    deadline = monotonic() + 10
    while handed_over(world) < until and monotonic() < deadline:
        sleep(0.005)
    yield
    for thread in threads:
        thread.join()


def handed_over(world: World) -> int:
    return sum(world.provider.handed_over.values())


def reported(mailout: Mailout, kind: str, number: int) -> None:
    """The provider's events about so many people who were sent to already."""
    rows = Message.objects.filter(mailout_id=mailout.pk, state=MessageState.SENT).values_list("n", "subscriber_id")
    addresses = dict(Subscriber.objects.values_list("pk", "email"))
    deliver(*(event(kind, mailout_id=mailout.pk, n=n, to=addresses[person]) for n, person in rows[:number]))


def go_on(world: World, mailout: Mailout, raw: Connection) -> None:
    """Somebody decides to go on, and everybody else gets it, once."""
    resume_mailout(mailout=mailout)
    world.provider.answer = accept
    AccountPace.objects.update(max_rate=100_000)
    world.run(seconds=10)
    tick(raw, slots=2)
    assert mailout_progress(mailout).state == "finished"
    assert set(world.provider.handed_over.values()) == {1}
    assert len(world.provider.handed_over) == PEOPLE


def brake(world: World, mailout: Mailout, raw: Connection) -> int:
    """The tick that brakes. Returns how many were handed over by then."""
    tick(raw, slots=2)
    mailout.refresh_from_db()
    return handed_over(world)


@pytest.mark.parametrize(
    ("kind", "number", "reason"), [("bounce", 150, StateReason.BOUNCES), ("complaint", 30, StateReason.COMPLAINTS)]
)
def test_bounces_and_complaints_stop_a_mailout_before_more_than_what_is_armed_goes_out(
    world: World, raw: Connection, mailout: Mailout, kind: str, number: int, reason: StateReason
) -> None:
    with sending(world):
        world.provider.answer = slowly
        reported(mailout, kind, number)
        at_tick = brake(world, mailout, raw)

    assert (mailout.state, mailout.state_reason) == ("paused", reason)
    assert 0 <= handed_over(world) - at_tick <= MOST_FURTHER < mailout_progress(mailout).waiting
    go_on(world, mailout, raw)


def slowly(entries: list[Entry]) -> CallResult:
    sleep(0.1)
    return accept(entries)


def test_refused_messages_stop_a_mailout_before_more_than_what_is_armed_goes_out(
    world: World, raw: Connection, mailout: Mailout
) -> None:
    def refuse_every_third(entries: list[Entry]) -> CallResult:
        sleep(0.1)
        outcomes = [Outcome.REJECTED if number % 3 == 0 else Outcome.ACCEPTED for number in range(len(entries))]
        return CallResult(
            [EntryResult(outcome, f"id-{entry.tag}", "no") for outcome, entry in zip(outcomes, entries, strict=True)]
        )

    world.provider.answer = refuse_every_third
    with sending(world, until=600):
        while Message.objects.filter(mailout_id=mailout.pk, state=MessageState.FAILED).count() < 80:
            sleep(0.01)
        at_tick = brake(world, mailout, raw)

    assert (mailout.state, mailout.state_reason) == ("paused", StateReason.ERRORS)
    assert 0 <= handed_over(world) - at_tick <= MOST_FURTHER < mailout_progress(mailout).waiting
    go_on(world, mailout, raw)


def test_an_outage_costs_no_more_than_what_is_armed_and_goes_on_by_itself(
    world: World, raw: Connection, mailout: Mailout
) -> None:
    def lose(entries: list[Entry]) -> CallResult:
        sleep(0.1)
        return CallResult([EntryResult(Outcome.AMBIGUOUS, "", "timeout: no answer")] * len(entries))

    with sending(world):
        before = handed_over(world)
        world.provider.answer = lose

    assert handed_over(world) - before <= MOST_FURTHER < mailout_progress(mailout).waiting
    assert AccountPace.objects.get().probe_seconds > 0
    unknown = mailout_progress(mailout).unknown
    assert 0 < unknown <= MOST_FURTHER

    world.provider.answer = accept
    AccountPace.objects.update(probe_at=None, max_rate=100_000)
    raw.execute("UPDATE delivery_account_pace SET probe_at = clock_timestamp()")
    world.finish(raw, mailout)  # nobody decided anything

    progress = mailout_progress(mailout)
    assert (progress.state, progress.unknown, progress.sent) == ("finished", unknown, PEOPLE - unknown)
    assert set(world.provider.handed_over.values()) == {1}


def test_an_outage_of_every_fourth_call_costs_no_more_than_what_is_armed_and_goes_on_after_ten_answers(
    world: World, raw: Connection, mailout: Mailout
) -> None:
    numbers = count(1)

    def lose_every_fourth(entries: list[Entry]) -> CallResult:
        sleep(0.02)
        if next(numbers) % 4:
            return accept(entries)
        return CallResult([EntryResult(Outcome.AMBIGUOUS, "", "server error: 500")] * len(entries))

    world.provider.answer = lose_every_fourth
    with sending(world, until=100):
        deadline = monotonic() + 6
        while not AccountPace.objects.get().probes_wanted and monotonic() < deadline:
            sleep(0.005)
        braked_at = handed_over(world)

    progress = mailout_progress(mailout)
    assert handed_over(world) - braked_at <= MOST_FURTHER
    assert progress.waiting > 0
    # of each loop at most 40 calls until the fifth loss, and what is armed
    assert 0 < progress.unknown <= (LOOPS * LAST_CALLS * 50 + MOST_FURTHER) // 4

    world.provider.answer = accept
    AccountPace.objects.update(max_rate=100_000)
    for wanted in range(AccountPace.objects.get().probes_wanted, 0, -1):
        assert AccountPace.objects.get().probes_wanted == wanted
        raw.execute("UPDATE delivery_account_pace SET probe_at = clock_timestamp()")
        world.run(seconds=0.5)
    assert AccountPace.objects.get().probe_seconds == 0
    world.finish(raw, mailout)  # nobody decided anything

    unknown = progress.unknown
    progress = mailout_progress(mailout)
    assert (progress.state, progress.unknown, progress.sent) == ("finished", unknown, PEOPLE - unknown)
    assert set(world.provider.handed_over.values()) == {1}


@pytest.mark.parametrize(
    ("signal", "reason"),
    [(Signal.ACCOUNT_PAUSED, ParkReason.PAUSED), (Signal.ACCOUNT_SUSPENDED, ParkReason.SUSPENDED)],
)
def test_an_account_that_the_provider_stops_hands_over_no_more_than_what_is_armed_and_nobody_fails(
    world: World, raw: Connection, mailout: Mailout, signal: Signal, reason: ParkReason
) -> None:
    def refuse(entries: list[Entry]) -> CallResult:
        sleep(0.1)
        return CallResult([EntryResult(Outcome.RETRY, "", "sending_paused")] * len(entries), signal=signal)

    with sending(world):
        before = handed_over(world)
        world.provider.answer = refuse

    assert handed_over(world) - before <= MOST_FURTHER < mailout_progress(mailout).waiting
    progress = mailout_progress(mailout)
    assert (progress.state, progress.parked_reason, progress.failed, progress.unknown) == ("sending", reason, 0, 0)

    lift_park(world, raw)
    raw.execute("UPDATE delivery_message_batch SET due_at = clock_timestamp() WHERE state = 0")  # the retries
    world.run(seconds=10)
    tick(raw, slots=2)
    assert mailout_progress(mailout).sent == PEOPLE


def lift_park(world: World, raw: Connection) -> None:
    """What the check of each minute does when the provider says that all is well."""
    world.provider.answer = accept
    AccountPace.objects.update(parked_reason="", parked_until=None, max_rate=100_000)


def test_an_account_under_review_hands_over_no_more_than_what_is_armed(
    world: World, raw: Connection, mailout: Mailout
) -> None:
    world.provider.answer = slowly
    with sending(world):
        limiter.park(raw, world.account.pk, ParkReason.REVIEW)
        before = handed_over(world)

    assert handed_over(world) - before <= MOST_FURTHER < mailout_progress(mailout).waiting
    assert mailout_progress(mailout).parked_reason == ParkReason.REVIEW
    armed = SendCall.objects.count()
    lift_park(world, raw)
    world.run(seconds=10)
    assert SendCall.objects.count() > armed
    assert mailout_progress(mailout).sent == PEOPLE
