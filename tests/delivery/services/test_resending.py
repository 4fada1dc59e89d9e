"""Send to those without an answer: once per decision, to exactly those, and the truth about the first attempt wins."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.utils import timezone
from pytest_django import Settings

from amazonsender.core.errors import Conflict, DomainError, NotFound
from delivery.engine import late
from delivery.engine.database import Connection, open_connection
from delivery.engine.finishing import finish_mailouts
from delivery.engine.late import settle_late
from delivery.engine.reaping import reap
from delivery.engine.ticking import tick
from delivery.models import (
    DeliveryEvent,
    EventType,
    ExclusionReason,
    Inbox,
    Mailout,
    Message,
    MessageBatch,
    MessageState,
    StatEmail,
)
from delivery.providers.base import CallResult, Entry, EntryResult, Outcome
from delivery.selectors.progress import mailout_account, mailout_progress
from delivery.selectors.unanswered import knowledge_words, times_sent_again, unanswered_call, unanswered_of
from delivery.services import resending
from delivery.services.controlling import cancel_mailout
from delivery.services.events import process_inbox, store_reader_act
from delivery.services.events.ledger import move_counters
from delivery.services.resending import send_again
from organizations.models import AuditEntry, User
from subscribers.models import ConsentRecord, Subscriber
from subscribers.services import consent
from tests.delivery.engine.world import HeldRunner, World, accept
from tests.delivery.events.notifications import deliver, event


def nobody_answers(entries: list[Entry]) -> CallResult:
    return CallResult([EntryResult(Outcome.AMBIGUOUS, "", "answer_lost: read timed out")] * len(entries))


def refuse(entries: list[Entry]) -> CallResult:
    return CallResult([EntryResult(Outcome.REJECTED, "", "message_rejected: no")] * len(entries))


def let_time_pass(raw: Connection) -> None:
    """The signatures of what was handed over are too old."""
    raw.execute("UPDATE delivery_send_call SET armed_at = armed_at - interval '16 minutes'")
    raw.execute(
        "UPDATE delivery_account_pace SET ambiguous_streak = 0, probe_seconds = 0, probe_at = NULL, parked_reason = ''"
    )


def end(mailout: Mailout, raw: Connection) -> Mailout:
    tick(raw, slots=2)
    mailout.refresh_from_db()
    assert mailout.state == "finished"
    check_account(mailout)
    return mailout


def check_account(mailout: Mailout) -> dict[str, int]:
    """The equation, from the rows, from the batches, and as the two show it."""
    states = mailout_account(mailout).states
    assert sum(states.values()) == mailout.candidates
    sums: dict[str, int] = dict.fromkeys(("sent", "failed", "unknown", "cancelled"), 0)
    for batch in MessageBatch.objects.filter(mailout_id=mailout.pk):
        for name in sums:
            sums[name] += getattr(batch, name)
    assert sums == {name: states[name] for name in sums} | {"sent": states["sent"] + states["simulated"]}
    return states


def unanswered(
    world: World, raw: Connection, people: int = 3, *, loses: Callable[[Entry], bool] | None = None
) -> Mailout:
    """A finished mailout; those for whom `loses` says so (everybody) are without an answer for sixteen minutes."""
    world.add_people(people)

    def answer(entries: list[Entry]) -> CallResult:
        lost = nobody_answers(entries).entries[0]
        taken = accept(entries).entries
        return CallResult(
            [lost if loses is None or loses(entry) else one for entry, one in zip(entries, taken, strict=True)]
        )

    world.provider.answer = answer
    mailout = world.launch()
    world.run(seconds=1)
    world.provider.answer = accept
    end(mailout, raw)
    let_time_pass(raw)
    return mailout


def decide(mailout: Mailout) -> int:
    mailout.refresh_from_db()
    assert mailout.finished_at is not None
    return send_again(mailout=mailout, finished_at=mailout.finished_at, actor=None)


def message(mailout: Mailout, n: int = 1) -> Message:
    return Message.objects.get(mailout_id=mailout.pk, n=n)


def proof(mailout: Mailout, n: int = 1, name: str = "delivery") -> Any:
    person = Subscriber.objects.get(pk=message(mailout, n).subscriber_id)
    return event(name, mailout_id=mailout.pk, n=n, to=person.email)


# ---- the act ---------------------------------------------------------------------------------------------------


def test_exactly_those_without_an_answer_get_another_attempt_and_the_account_adds_up(
    world: World, raw: Connection
) -> None:
    mailout = unanswered(world, raw, 60, loses=lambda entry: int(entry.address[1:].partition("@")[0]) % 3 == 0)
    assert check_account(mailout)["unknown"] == 20
    lost = set(Message.objects.filter(state=MessageState.UNKNOWN).values_list("n", flat=True))

    assert decide(mailout) == 20
    progress = mailout_progress(mailout)
    assert (progress.state, progress.sent, progress.unknown, progress.waiting) == ("sending", 40, 0, 20)
    check_account(mailout)
    world.run(seconds=1)
    end(mailout, raw)

    assert check_account(mailout)["sent"] == 60
    assert sorted(world.provider.handed_over.values()) == [1] * 40 + [2] * 20
    assert set(Message.objects.filter(attempt=1).values_list("n", flat=True)) == lost
    assert set(Message.objects.filter(attempt=1).values_list("error", flat=True)) == {None}


def test_the_decision_is_written_down_with_what_was_known_of_the_first_attempt(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw, 2)
    alice = User.objects.create_user("alice@example.com")
    call = unanswered_call(mailout, n=1, attempt=0)
    assert call is not None
    assert mailout.finished_at is not None

    send_again(mailout=mailout, finished_at=mailout.finished_at, actor=alice)

    entry = AuditEntry.objects.get(action="mailout.sent_again")
    assert (entry.actor, entry.object_id, entry.detail) == (
        alice,
        str(mailout.pk),
        {"mailout_id": mailout.pk, "people": 2, "batches": 1},
    )
    noted = DeliveryEvent.objects.get(n=1, type=EventType.SENT_AGAIN)
    assert noted.detail is not None
    assert (noted.detail["said"], noted.detail["call"]) == ("answer_lost: read timed out", str(call.call_id))
    assert datetime.fromisoformat(noted.detail["handed_over_at"]) == call.handed_over_at
    assert [(one.who, one.people) for one in times_sent_again(mailout)] == [(str(alice), 2)]


def test_pressing_it_twice_sends_once(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw)
    finished_at = mailout.finished_at
    assert finished_at is not None
    send_again(mailout=mailout, finished_at=finished_at, actor=None)

    with pytest.raises(Conflict, match="still under way"):
        send_again(mailout=mailout, finished_at=finished_at, actor=None)
    world.provider.answer = nobody_answers
    world.run(seconds=1)
    end(mailout, raw)
    let_time_pass(raw)

    # Nobody knows again; the old page's decision was about another end.
    with pytest.raises(Conflict, match="decided meanwhile"):
        send_again(mailout=mailout, finished_at=finished_at, actor=None)
    assert (message(mailout).state, message(mailout).attempt) == (MessageState.UNKNOWN, 1)
    assert AuditEntry.objects.filter(action="mailout.sent_again").count() == 1
    assert set(world.provider.handed_over.values()) == {2}


def test_two_people_at_once_send_once(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw, 30)
    finished_at = mailout.finished_at
    assert finished_at is not None
    gate = threading.Barrier(2)
    ends: list[int | str] = []

    def press() -> None:
        gate.wait(5)
        try:
            ends.append(send_again(mailout=Mailout.objects.get(), finished_at=finished_at, actor=None))
        except DomainError as error:
            ends.append(type(error).__name__)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=press) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    world.run(seconds=1)
    end(mailout, raw)

    assert sorted(map(str, ends)) == ["30", "Conflict"]
    assert set(world.provider.handed_over.values()) == {2}
    assert MessageBatch.objects.filter(attempt=1).count() == 1


def test_a_decision_that_fails_halfway_leaves_nothing(
    world: World, raw: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailout = unanswered(world, raw)

    def fail(**given: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(resending, "record", fail)
    with pytest.raises(RuntimeError):
        decide(mailout)

    mailout.refresh_from_db()
    assert (mailout.state, check_account(mailout)["unknown"]) == ("finished", 3)
    assert not MessageBatch.objects.filter(attempt=1).exists()
    assert not DeliveryEvent.objects.exists()


def test_consent_is_checked_again(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw)
    leaver = Subscriber.objects.get(pk=message(mailout, 2).subscriber_id)
    decide(mailout)
    consent.unsubscribe(
        subscriber=leaver, list_id=None, method=ConsentRecord.Method.PAGE, at=timezone.now(), ip="", user_agent=""
    )

    world.run(seconds=1)
    end(mailout, raw)

    assert world.provider.handed_over[leaver.email] == 1
    left = message(mailout, 2)
    assert (left.state, left.reason) == (MessageState.EXCLUDED, ExclusionReason.UNSUBSCRIBED)
    account = check_account(mailout)
    assert (account["sent"], account["excluded"]) == (2, 1)


def test_a_dry_run_is_simulated_again(world: World, raw: Connection) -> None:
    world.add_people(2)
    mailout = world.launch(is_dry_run=True)
    world.run(seconds=1)
    end(mailout, raw)
    raw.execute("UPDATE delivery_message SET state = 4, provider_id = NULL, sent_at = NULL")
    raw.execute("UPDATE delivery_message_batch SET unknown = sent, sent = 0")
    raw.execute("UPDATE delivery_mailout SET is_account_stale = true")
    tick(raw, slots=2)
    let_time_pass(raw)

    assert decide(mailout) == 2
    world.run(seconds=1)
    tick(raw, slots=2)

    mailout.refresh_from_db()
    assert mailout_account(mailout).states["simulated"] == 2
    assert not world.provider.handed_over


# ---- what may not be -------------------------------------------------------------------------------------------


def test_nobody_is_tried_again_while_the_first_call_may_still_be_accepted(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw)
    raw.execute("UPDATE delivery_send_call SET armed_at = clock_timestamp() - interval '14 minutes'")

    with pytest.raises(Conflict, match="may still accept"):
        decide(mailout)

    assert message(mailout).attempt == 0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("state = 'cancelled'", "stopped for good"),
        ("state = 'paused'", "under way"),
        ("not_after = now() - interval '1 s'", "reach nobody"),
    ],
)
def test_a_mailout_that_is_not_over_or_was_stopped_or_is_too_late_is_left_alone(
    world: World, raw: Connection, change: str, why: str
) -> None:
    mailout = unanswered(world, raw)
    raw.execute(f"UPDATE delivery_mailout SET {change}".encode())

    with pytest.raises(Conflict, match=why):
        decide(mailout)

    assert message(mailout).state == MessageState.UNKNOWN


def test_an_installation_that_sends_nothing_sends_nothing_again(
    world: World, raw: Connection, settings: Settings
) -> None:
    mailout = unanswered(world, raw)
    settings.SENDING_MODE = "dry_run"

    with pytest.raises(Conflict, match="SENDING_MODE"):
        decide(mailout)


def test_a_list_that_was_deleted_never_means_everybody(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw)
    raw.execute("UPDATE delivery_mailout SET list_ids = ARRAY[0]")

    with pytest.raises(NotFound):
        decide(mailout)

    assert message(mailout).state == MessageState.UNKNOWN


def test_news_that_waits_to_be_read_is_read_first(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw)
    Inbox.objects.create(source="ses", body=b"{}")
    Inbox.objects.update(received_at=timezone.now() - timedelta(minutes=2))

    with pytest.raises(Conflict, match="News of the provider"):
        decide(mailout)

    assert message(mailout).state == MessageState.UNKNOWN


def test_with_nobody_unanswered_there_is_nothing_to_decide(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw, loses=lambda entry: False)

    with pytest.raises(Conflict, match="Nobody is without an answer"):
        decide(mailout)


# ---- the first attempt, told late ------------------------------------------------------------------------------


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


# ---- what is known ---------------------------------------------------------------------------------------------


def test_what_is_known_names_call_time_and_words(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw, 120, loses=lambda entry: entry.address in ("p3@example.com", "p70@example.com"))

    known = unanswered_of(mailout)

    assert (known.people, known.sent, known.reported) == (2, 118, 0)
    assert [(call.people, call.error) for call in known.calls] == [(1, "answer_lost: read timed out")] * 2
    calls = {n: unanswered_call(mailout, n=n, attempt=0) for n in (4, 71)}
    assert {call.call_id for call in known.calls} == {call.call_id for call in calls.values() if call is not None}


def test_what_is_known_outlives_the_calls(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw, 2)
    raw.execute("DELETE FROM delivery_send_call")

    known = unanswered_of(mailout)

    assert [(call.call_id, call.handed_over_at, call.people) for call in known.calls] == [(None, None, 2)]
    assert unanswered_call(mailout, n=1, attempt=0) is None
    assert decide(mailout) == 2


@pytest.mark.parametrize(
    ("reported", "said"), [(0, "silence says nothing"), (10, "not complete"), (98, "did not get it")]
)
def test_what_silence_is_worth_depends_on_the_others(world: World, raw: Connection, reported: int, said: str) -> None:
    mailout = unanswered(world, raw, 101, loses=lambda entry: entry.address == "p3@example.com")
    if reported:
        StatEmail.objects.create(mailout_id=mailout.pk, email_no=0, type=EventType.DELIVERED, uniq=reported)

    words = knowledge_words(unanswered_of(mailout))

    assert said in words


# ---- the command -----------------------------------------------------------------------------------------------


def run(*arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command("resend_unknown", *arguments, stdout=out)
    except SystemExit as ended:
        return int(str(ended.code)), out.getvalue()
    return 0, out.getvalue()


def test_the_command_tells_and_asks_before_it_sends(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw)

    code, said = run(str(mailout.pk))
    assert code == 1
    assert "3 without an answer" in said
    assert "some may get it twice" in said
    assert "The connection broke before the answer came." in said
    assert message(mailout).attempt == 0

    code, said = run(str(mailout.pk), "--yes")
    assert (code, "3 are tried again" in said) == (0, True)
    world.run(seconds=1)
    end(mailout, raw)
    assert run(str(mailout.pk), "--yes")[0] == 0  # nobody is left
    assert set(world.provider.handed_over.values()) == {2}


def test_the_command_answers_in_json(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw)
    call = unanswered_call(mailout, n=1, attempt=0)
    assert call is not None
    assert call.handed_over_at is not None

    code, said = run(str(mailout.pk), "--yes", "--format", "json")

    assert code == 0
    assert json.loads(said) == {
        "mailout_id": mailout.pk,
        "name": "Letter",
        "state": "sending",
        "unanswered": 3,
        "calls": [
            {
                "call": str(call.call_id),
                "handed_over_at": call.handed_over_at.astimezone(UTC).isoformat(),
                "error": "answer_lost: read timed out",
                "people": 3,
            }
        ],
        "sent": 0,
        "reported": 0,
        "obstacle": "",
        "sent_again": 3,
    }


def test_the_command_says_why_not(world: World, raw: Connection) -> None:
    mailout = unanswered(world, raw)
    raw.execute("UPDATE delivery_send_call SET armed_at = clock_timestamp()")

    code, said = run(str(mailout.pk), "--yes")

    assert (code, "can't be tried again: The provider may still accept" in said) == (1, True)
    with pytest.raises(CommandError, match="no mailout 7"):
        run("7")
