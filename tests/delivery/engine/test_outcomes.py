"""What becomes of people when the provider does anything but accept."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db.models import Sum

from delivery.engine import limiter
from delivery.engine.database import Connection, open_connection
from delivery.engine.runner import EXTRA_CALLS
from delivery.engine.settling import MAX_ATTEMPTS, backoff_seconds
from delivery.engine.ticking import tick
from delivery.models import (
    AccountPace,
    Mailout,
    MailoutState,
    Message,
    MessageBatch,
    MessageState,
    ParkReason,
    StateReason,
)
from delivery.providers.base import CallResult, Entry, EntryResult, Outcome, Signal
from delivery.selectors.progress import mailout_progress
from delivery.services.controlling import resume_mailout
from delivery.services.trial import send_test
from delivery.tokens import read_track_token
from subscribers.models import Subscriber
from tests.delivery.engine.world import World, accept

WINDOW = 4 + EXTRA_CALLS  # calls that one process may have armed


def all_alike(outcome: Outcome, error: str, signal: Signal | None = None) -> object:
    return lambda entries: CallResult([EntryResult(outcome, "", error)] * len(entries), signal)


def make_due(raw: Connection) -> None:
    raw.execute("UPDATE delivery_message_batch SET due_at = clock_timestamp() - interval '1 s' WHERE state = 0")


def test_a_rejected_person_fails_alone_and_is_not_tried_again(world: World, raw: Connection) -> None:
    world.add_people(5)

    def reject_third(entries: list[Entry]) -> CallResult:
        results = [
            EntryResult(Outcome.REJECTED, "", "message_rejected: bad")
            if entry.address == "p2@example.com"
            else EntryResult(Outcome.ACCEPTED, "id", "")
            for entry in entries
        ]
        return CallResult(results)

    world.provider.answer = reject_third
    mailout = world.launch()

    world.run()
    world.run()
    tick(raw, slots=2)

    assert all(count == 1 for count in world.provider.handed_over.values())
    failed = Message.objects.get(mailout_id=mailout.pk, state=MessageState.FAILED)
    assert failed.error == "message_rejected: bad"
    progress = mailout_progress(mailout)
    assert (progress.sent, progress.failed, progress.state) == (4, 1, "finished")


def test_throttled_people_are_tried_again_with_backoff_and_the_rate_falls_once(world: World, raw: Connection) -> None:
    world.add_people(120)
    answers = iter([all_alike(Outcome.RETRY, "throttled: slow down", Signal.THROTTLED)] * 3)
    world.provider.answer = lambda entries: next(answers, accept)(entries)  # type: ignore[operator]
    mailout = world.launch()

    world.run(seconds=1)
    retries = list(MessageBatch.objects.filter(mailout_id=mailout.pk, attempt=1).exclude(members=None))
    assert sum(len(batch.members or []) for batch in retries) == 120
    assert all(batch.due_at is not None for batch in retries)
    assert AccountPace.objects.get().factor == pytest.approx(0.7)

    make_due(raw)
    world.run()
    tick(raw, slots=2)

    assert set(world.provider.handed_over.values()) == {2}
    assert mailout_progress(mailout).sent == 120
    assert Message.objects.filter(mailout_id=mailout.pk, attempt=1, state=MessageState.SENT).count() == 120


@pytest.mark.parametrize(
    "made",
    [
        lambda n: f"0100019ac1e2f3a4-{n:08d}-0000-4000-8000-000000000000-000000",
        lambda n: f"<{n:080d}@provider.example>",  # longer than PostgreSQL's names
        lambda n: f'a "quoted", {{odd}} \\ id {n}',
        lambda n: f"Kennung-ä-{n}",
        lambda n: "NULL",
    ],
    ids=["ses", "long", "quoted", "not-ascii", "null"],
)
def test_provider_ids_of_any_form_are_kept_beside_their_people(world: World, made: Callable[[int], str]) -> None:
    world.add_people(60)

    def accept_odd(entries: list[Entry]) -> CallResult:
        numbers = [int(entry.address[1:].partition("@")[0]) for entry in entries]
        return CallResult(
            [
                EntryResult(Outcome.ACCEPTED, made(n), "") if n % 3 else EntryResult(Outcome.REJECTED, "", "no")
                for n in numbers
            ]
        )

    world.provider.answer = accept_odd
    mailout = world.launch()
    world.run()

    emails = dict(Subscriber.objects.values_list("pk", "email"))
    for message in Message.objects.filter(mailout_id=mailout.pk):
        n = int(emails[message.subscriber_id][1:].partition("@")[0])
        expected = (MessageState.SENT, made(n)) if n % 3 else (MessageState.FAILED, None)
        assert (message.state, message.provider_id) == expected


def test_ambiguous_people_become_unknown_and_are_never_sent_again(world: World, raw: Connection) -> None:
    world.add_people(50)
    world.provider.answer = all_alike(Outcome.AMBIGUOUS, "timeout: no answer")  # type: ignore[assignment]
    mailout = world.launch()

    world.run(seconds=1)
    world.provider.answer = accept
    world.run(seconds=1)
    tick(raw, slots=2)

    assert set(world.provider.handed_over.values()) == {1}
    progress = mailout_progress(mailout)
    assert (progress.unknown, progress.waiting, progress.state) == (50, 0, "finished")


def test_three_ambiguous_calls_in_a_row_stop_the_account_and_then_single_people_probe_it(
    world: World, raw: Connection
) -> None:
    world.add_people(2000)
    world.provider.answer = all_alike(Outcome.AMBIGUOUS, "timeout: no answer")  # type: ignore[assignment]
    mailout = world.launch()

    world.run(seconds=1)

    handed_over = sum(world.provider.handed_over.values())
    assert handed_over <= WINDOW * 50  # the calls of one window
    assert AccountPace.objects.get().probe_seconds > 0
    raw.execute("UPDATE delivery_account_pace SET probe_at = clock_timestamp() - interval '1 s'")
    world.provider.answer = accept
    world.provider.calls.clear()
    world.run(seconds=3)

    assert len(world.provider.calls[0]) == 1
    assert AccountPace.objects.get().probe_seconds == 0
    assert mailout_progress(mailout).unknown == handed_over


def test_a_call_with_too_few_results_leaves_all_its_people_unknown(world: World) -> None:
    world.add_people(10)
    world.provider.answer = lambda entries: CallResult([EntryResult(Outcome.ACCEPTED, "id", "")] * (len(entries) - 1))
    mailout = world.launch()

    world.run(seconds=1)

    assert mailout_progress(mailout).unknown == 10


def test_an_adapter_that_raises_leaves_its_people_unknown(world: World) -> None:
    world.add_people(3)

    def explode(_entries: list[Entry]) -> CallResult:
        raise RuntimeError("a bug")

    world.provider.answer = explode
    mailout = world.launch()

    world.run(seconds=1)

    assert mailout_progress(mailout).unknown == 3


def test_a_whole_call_refused_for_one_entrys_sake_is_tried_one_by_one(world: World, raw: Connection) -> None:
    world.add_people(20)

    def refuse_the_seventh(entries: list[Entry]) -> CallResult:
        if not any(entry.address == "p7@example.com" for entry in entries):
            return accept(entries)
        if len(entries) == 1:
            return CallResult([EntryResult(Outcome.REJECTED, "", "bad_request: no")])
        return CallResult([EntryResult(Outcome.RETRY, "", "bad_request: no")] * len(entries))

    world.provider.answer = refuse_the_seventh
    mailout = world.launch()

    world.run()
    make_due(raw)
    world.run()
    tick(raw, slots=2)

    progress = mailout_progress(mailout)
    assert (progress.sent, progress.failed) == (19, 1)
    assert Message.objects.get(mailout_id=mailout.pk, state=MessageState.FAILED).n == 8


def test_somebody_who_never_gets_through_fails_after_the_last_attempt(world: World, raw: Connection) -> None:
    world.add_people(1)
    world.provider.answer = all_alike(Outcome.RETRY, "transient: again")  # type: ignore[assignment]
    mailout = world.launch()

    for _ in range(MAX_ATTEMPTS):
        make_due(raw)
        world.run(seconds=1)

    message = Message.objects.get(mailout_id=mailout.pk)
    assert message.state == MessageState.FAILED
    assert message.error == f"gave up after {MAX_ATTEMPTS} attempts: transient: again"
    assert world.provider.handed_over["p0@example.com"] == MAX_ATTEMPTS


@pytest.mark.parametrize(
    ("signal", "reason"),
    [
        (Signal.ACCOUNT_PAUSED, ParkReason.PAUSED),
        (Signal.ACCOUNT_SUSPENDED, ParkReason.SUSPENDED),
        (Signal.MISCONFIGURED, ParkReason.MISCONFIGURED),
        (Signal.UNREACHABLE, ParkReason.OUTAGE),
        (Signal.QUOTA_EXCEEDED, ParkReason.QUOTA),
    ],
)
def test_what_an_answer_says_about_the_account_parks_it_and_nobody_fails(
    world: World, signal: Signal, reason: ParkReason
) -> None:
    world.add_people(1500)
    world.provider.answer = all_alike(Outcome.RETRY, "account: stopped", signal)  # type: ignore[assignment]
    mailout = world.launch()

    world.run(seconds=1)

    assert AccountPace.objects.get().parked_reason == reason
    assert sum(world.provider.handed_over.values()) <= WINDOW * 50
    progress = mailout_progress(mailout)
    assert (progress.failed, progress.unknown, progress.waiting) == (0, 0, 1500)
    assert progress.parked_reason == reason


def test_a_refused_sender_pauses_what_it_sends_and_nothing_else(world: World, raw: Connection) -> None:
    world.add_people(5)
    theirs, same, other = (
        world.launch("campaign:1", sender="News <new@example.com>"),
        world.launch("campaign:2", sender="Another name <NEW@example.com>"),
        world.launch("campaign:3", sender="News <news@example.com>"),
    )
    refused = EntryResult(Outcome.RETRY, "", "sender_not_verified: new@example.com")

    def answer(entries: list[Entry]) -> CallResult:
        token = read_track_token(entries[0].tag)
        if token is not None and token.mailout_id == other.pk:
            return accept(entries)
        return CallResult([refused] * len(entries), Signal.SENDER_NOT_VERIFIED)

    world.provider.answer = answer
    world.run(seconds=2)
    tick(raw, slots=2)

    assert AccountPace.objects.get().parked_reason == ""
    states = {mailout.pk: (mailout.state, mailout.state_reason) for mailout in Mailout.objects.all()}
    paused = (MailoutState.PAUSED, StateReason.SENDER)
    assert states == {theirs.pk: paused, same.pk: paused, other.pk: (MailoutState.FINISHED, "")}
    for mailout in (theirs, same):
        progress = mailout_progress(mailout)
        assert (progress.waiting, progress.failed, progress.unknown) == (5, 0, 0)

    world.provider.answer = accept
    resume_mailout(mailout=theirs)
    make_due(raw)
    world.run(seconds=2)
    tick(raw, slots=2)

    theirs.refresh_from_db()
    assert (theirs.state, theirs.lifted_brakes) == (MailoutState.FINISHED, [])
    assert mailout_progress(theirs).sent == 5
    assert mailout_progress(same).waiting == 5


def test_a_test_whose_sender_is_refused_is_over(world: World, raw: Connection) -> None:
    world.provider.answer = all_alike(  # type: ignore[assignment]
        Outcome.RETRY, "sender_not_verified: new@example.com", Signal.SENDER_NOT_VERIFIED
    )
    mailout = send_test(
        organization=world.organization,
        account=world.account,
        compiled=world.compiled,
        recipients=["boss@example.com"],
        preview_subscriber=None,
        name="Test",
        sender="new@example.com",
    )

    world.run(seconds=1)
    tick(raw, slots=2)

    mailout.refresh_from_db()
    assert mailout.state == MailoutState.CANCELLED
    message = Message.objects.get(mailout_id=mailout.pk)
    assert (message.state, message.error) == (MessageState.CANCELLED, "sender_not_verified: new@example.com")


def test_backoff_grows_and_stays_within_its_bounds() -> None:
    assert 1.0 <= backoff_seconds(0) <= 2.0
    assert 450.0 <= backoff_seconds(30) <= 900.0


def test_a_parked_account_grants_nothing_until_its_time_has_come(world: World, raw: Connection) -> None:
    limiter.park(raw, world.account.pk, ParkReason.OUTAGE, seconds=60)
    refused = limiter.take(raw, world.account.pk, lane=2, wanted=10)
    raw.execute("UPDATE delivery_account_pace SET parked_until = clock_timestamp() - interval '1 s'")
    granted = limiter.take(raw, world.account.pk, lane=2, wanted=10)

    assert isinstance(refused, limiter.Refusal)
    assert refused.reason == ParkReason.OUTAGE
    assert isinstance(granted, limiter.Grant)


@pytest.mark.parametrize("outcome", [Outcome.AMBIGUOUS, Outcome.RETRY, Outcome.REJECTED])
def test_somebody_whose_event_came_before_the_answer_is_sent_whatever_the_answer_says(
    world: World, raw: Connection, outcome: Outcome
) -> None:
    world.add_people(3)
    mailout = world.launch()

    def event_first(entries: list[Entry]) -> CallResult:
        with open_connection() as processor:
            processor.execute("UPDATE delivery_message SET provider_id = 'seen', sent_at = now() WHERE n = 2")
        return CallResult([EntryResult(outcome, "", "timeout: no answer")] * len(entries))

    world.provider.answer = event_first
    world.run(seconds=1)
    world.provider.answer = accept
    make_due(raw)
    raw.execute("UPDATE delivery_account_pace SET probe_seconds = 0, probe_at = NULL")
    world.run(seconds=1)
    tick(raw, slots=2)

    assert Message.objects.get(mailout_id=mailout.pk, n=2).state == MessageState.SENT
    assert world.provider.handed_over["p1@example.com"] == 1
    progress = mailout_progress(mailout)
    assert progress.sent + progress.unknown + progress.failed == 3
    assert MessageBatch.objects.aggregate(Sum("sent"))["sent__sum"] == progress.sent
