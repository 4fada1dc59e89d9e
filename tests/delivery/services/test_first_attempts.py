"""After those without an answer were sent to again: whatever is learned late of the first attempt is the truth."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest
from django.db import connections
from django.utils import timezone

from delivery.engine import late
from delivery.engine.database import Connection, open_connection
from delivery.engine.finishing import finish_mailouts
from delivery.engine.late import settle_late
from delivery.engine.reaping import reap
from delivery.engine.ticking import tick
from delivery.models import (
    EventType,
    Mailout,
    Message,
    MessageBatch,
    MessageState,
)
from delivery.providers.base import CallResult, EntryResult, Outcome
from delivery.services.controlling import cancel_mailout
from delivery.services.events import process_inbox, store_reader_act
from delivery.services.events.ledger import move_counters
from delivery.services.resending import send_again
from subscribers.models import Subscriber
from tests.delivery.engine.world import HeldRunner, World, accept
from tests.delivery.events.notifications import deliver
from tests.delivery.services.unanswered import (
    check_account,
    decide,
    end,
    let_time_pass,
    message,
    nobody_answers,
    proof,
    refuse,
    unanswered,
)


@pytest.mark.parametrize("by", ["provider", "reader"])
def test_a_proof_of_the_first_attempt_before_the_second_leaves_wins(world: World, raw: Connection, by: str) -> None:
    mailout = unanswered(world, raw)
    decide(mailout)

    if by == "provider":
        deliver(proof(mailout, 2))
    else:
        store_reader_act(
            type_=EventType.OPENED, mailout_id=mailout.pk, n=2, at=timezone.now(), ip="", user_agent="Mozilla/5.0"
        )
        process_inbox()
    world.run(seconds=1)
    end(mailout, raw)

    person = Subscriber.objects.get(pk=message(mailout, 2).subscriber_id)
    assert world.provider.handed_over[person.email] == 1
    assert check_account(mailout)["sent"] == 3
    assert message(mailout, 2).sent_at is not None


@pytest.mark.parametrize("answer", [nobody_answers, refuse])
def test_a_proof_while_the_second_attempt_is_out_wins_over_what_that_one_says(
    world: World, raw: Connection, answer: Any
) -> None:
    mailout = unanswered(world, raw, 1)
    decide(mailout)
    world.provider.answer = answer
    held = HeldRunner(world)
    held.arm(raw)
    deliver(proof(mailout))

    held.come_back(1)
    held.settle(raw)
    end(mailout, raw)

    found = message(mailout)
    assert (found.state, found.error) == (MessageState.SENT, None)
    assert check_account(mailout)["sent"] == 1


@pytest.mark.parametrize("answer", [nobody_answers, refuse])
def test_a_proof_after_the_second_attempt_ended_otherwise_is_the_truth(
    world: World, raw: Connection, answer: Any
) -> None:
    mailout = unanswered(world, raw, 1)
    decide(mailout)
    world.provider.answer = answer
    world.run(seconds=1)
    end(mailout, raw)
    assert check_account(mailout)["sent"] == 0

    deliver(proof(mailout))
    tick(raw, slots=2)

    mailout.refresh_from_db()
    assert check_account(mailout)["sent"] == 1


def test_an_event_that_is_being_applied_comes_before_the_decision(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw, 2)
    finished_at = mailout.finished_at
    assert finished_at is not None
    done: list[int] = []

    def press() -> None:
        done.append(send_again(mailout=Mailout.objects.get(), finished_at=finished_at, actor=None))
        connections.close_all()

    with open_connection() as applying:
        with applying.transaction():
            applying.execute(
                "UPDATE delivery_message SET state = 1, provider_id = 'p', sent_at = now() WHERE mailout_id = %s AND n = 1",
                [mailout.pk],
            )
            applying.execute("UPDATE delivery_message_batch SET sent = sent + 1, unknown = unknown - 1")
            thread = threading.Thread(target=press)
            thread.start()
            wait_for_a_lock(raw)
        thread.join(10)

    assert done == [1]
    assert (message(mailout, 1).attempt, message(mailout, 2).attempt) == (0, 1)
    mailout.refresh_from_db()
    account = check_account(mailout)
    assert (account["sent"], account["queued"]) == (1, 1)


def wait_for_a_lock(raw: Connection) -> None:
    for _ in range(200):
        if raw.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() != (0,):
            return
        threading.Event().wait(0.02)
    raise AssertionError("nobody waits")


def lost_call(world: World, raw: Connection) -> tuple[Mailout, HeldRunner]:
    """A mailout of one person whose worker stood still for a quarter of an hour, its call still out."""
    world.add_people(1)
    mailout = world.launch()
    held = HeldRunner(world)
    held.arm(raw)
    raw.execute("UPDATE delivery_message_batch SET lease_until = clock_timestamp() - interval '1 s' WHERE state = 1")
    assert reap(raw) == 1
    end(mailout, raw)
    let_time_pass(raw)
    return mailout, held


def answer_late(held: HeldRunner, raw: Connection, outcome: Outcome = Outcome.ACCEPTED) -> None:
    held.gate.set()
    call = held.results.get(timeout=5)
    call.result = CallResult([EntryResult(outcome, "first" if outcome == Outcome.ACCEPTED else "", "late: x")])
    settle_late(raw, [call])
    settle_late(raw, [call])


def test_a_late_answer_of_the_first_call_keeps_the_second_from_leaving(world: World, raw: Connection) -> None:
    mailout, held = lost_call(world, raw)
    decide(mailout)

    answer_late(held, raw)
    world.provider.answer = accept
    world.run(seconds=1)
    end(mailout, raw)

    assert set(world.provider.handed_over.values()) == {1}
    assert (message(mailout).state, message(mailout).provider_id) == (MessageState.SENT, "first")
    assert check_account(mailout)["sent"] == 1


def test_a_late_answer_about_another_number_of_people_says_nothing(world: World, raw: Connection) -> None:
    mailout, held = lost_call(world, raw)
    held.gate.set()
    call = held.results.get(timeout=5)
    call.result = CallResult([EntryResult(Outcome.ACCEPTED, "first", "")] * 2)

    settle_late(raw, [call])

    assert message(mailout).state == MessageState.UNKNOWN


def test_a_late_answer_outlives_deadlocks(world: World, raw: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    mailout, held = lost_call(world, raw)
    decide(mailout)
    failures = iter([psycopg.errors.DeadlockDetected("deadlock")] * 3)

    def fail_first(*given: Any) -> None:
        if error := next(failures, None):
            raise error
        move_counters(*given)

    monkeypatch.setattr(late, "move_counters", fail_first)
    world.provider.answer = nobody_answers
    world.run(seconds=1)
    end(mailout, raw)
    answer_late(held, raw)
    tick(raw, slots=2)

    mailout.refresh_from_db()
    assert check_account(mailout)["sent"] == 1


def test_a_late_answer_that_deadlocks_for_ever_is_given_up(
    world: World, raw: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    _mailout, held = lost_call(world, raw)

    def fail(*given: Any) -> None:
        raise psycopg.errors.DeadlockDetected("deadlock")

    monkeypatch.setattr(late, "move_counters", fail)
    with pytest.raises(psycopg.errors.DeadlockDetected):
        answer_late(held, raw)

    assert Message.objects.get().state == MessageState.UNKNOWN


@pytest.mark.parametrize("outcome", [Outcome.RETRY, Outcome.REJECTED, Outcome.AMBIGUOUS])
def test_a_late_refusal_of_the_first_call_leaves_the_second_to_decide(
    world: World, raw: Connection, outcome: Outcome
) -> None:
    mailout, held = lost_call(world, raw)
    decide(mailout)

    answer_late(held, raw, outcome)
    world.provider.answer = accept
    world.run(seconds=1)
    end(mailout, raw)

    assert check_account(mailout)["sent"] == 1
    assert message(mailout).provider_id != "first"
    assert MessageBatch.objects.filter(mailout_id=mailout.pk).count() == 2


@pytest.mark.parametrize("answer", [nobody_answers, refuse])
def test_a_late_answer_after_the_second_attempt_ended_otherwise_is_the_truth(
    world: World, raw: Connection, answer: Any
) -> None:
    mailout, held = lost_call(world, raw)
    decide(mailout)
    world.provider.answer = answer
    world.run(seconds=1)
    end(mailout, raw)

    answer_late(held, raw)
    tick(raw, slots=2)

    mailout.refresh_from_db()
    assert (message(mailout).state, message(mailout).error) == (MessageState.SENT, None)
    assert check_account(mailout)["sent"] == 1


def test_stopping_in_between_cancels_who_waits_and_a_proof_mends_it(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw, 2)
    decide(mailout)
    cancel_mailout(mailout=mailout)
    tick(raw, slots=2)
    mailout.refresh_from_db()
    assert (mailout.state, check_account(mailout)["cancelled"]) == ("cancelled", 2)

    deliver(proof(mailout))
    tick(raw, slots=2)

    mailout.refresh_from_db()
    account = check_account(mailout)
    assert (account["sent"], account["cancelled"]) == (1, 1)


def test_a_count_of_the_old_end_never_overwrites_a_mailout_that_sends_again(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw, 2)
    raw.execute("UPDATE delivery_mailout SET is_account_stale = true")

    with open_connection() as deciding, deciding.transaction():
        deciding.execute(
            "UPDATE delivery_mailout SET state = 'sending', finished_at = NULL, final_account = NULL, is_account_stale = false"
        )
        finish_mailouts(raw)  # skips it rather than wait and count
    mailout.refresh_from_db()

    assert mailout.final_account is None


def test_moves_during_a_count_are_counted(world: World, raw: Connection) -> None:
    """An event commits while the account is counted: its mailout is stale already, and must be so afterwards."""
    mailout = unanswered(world, raw, 2)
    raw.execute("UPDATE delivery_mailout SET is_account_stale = true")

    def tell() -> None:
        deliver(proof(mailout))
        connections.close_all()

    with open_connection() as counting:
        with counting.transaction():
            counting.execute("SELECT 1 FROM delivery_mailout FOR NO KEY UPDATE")
            thread = threading.Thread(target=tell)
            thread.start()
            wait_for_a_lock(raw)
            counting.execute("UPDATE delivery_mailout SET is_account_stale = false")
        thread.join(10)

    mailout.refresh_from_db()
    assert mailout.is_account_stale
    tick(raw, slots=2)
    mailout.refresh_from_db()
    assert check_account(mailout)["unknown"] == 1
