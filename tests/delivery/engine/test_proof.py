"""An event may be faster than the answer to its call: its provider id proves that the message went out."""

from __future__ import annotations

import pytest

from delivery.engine import arming
from delivery.engine.database import Connection
from delivery.engine.late import settle_late
from delivery.engine.reaping import reap
from delivery.engine.ticking import tick
from delivery.models import Message, MessageBatch, MessageState, SendCall
from delivery.providers.base import CallResult, EntryResult, Outcome
from delivery.selectors.progress import mailout_account, mailout_progress
from delivery.services.controlling import cancel_mailout
from tests.delivery.engine.world import HeldRunner, World


def prove(raw: Connection, n: int) -> None:
    """What the first event of a message does to a row that is queued still."""
    raw.execute("UPDATE delivery_message SET provider_id = 'proven', sent_at = clock_timestamp() WHERE n = %s", [n])


def expire(raw: Connection) -> None:
    raw.execute("UPDATE delivery_message_batch SET lease_until = clock_timestamp() - interval '1 s' WHERE state = 1")


def states() -> dict[int, int]:
    return dict(Message.objects.values_list("n", "state"))


@pytest.mark.parametrize("outcome", [Outcome.AMBIGUOUS, Outcome.REJECTED, Outcome.RETRY])
def test_a_proven_message_is_sent_whatever_its_answer_says_later(
    world: World, raw: Connection, outcome: Outcome
) -> None:
    world.add_people(2)
    mailout = world.launch()
    world.provider.answer = lambda entries: CallResult([EntryResult(outcome, "", "transient: x")] * len(entries))
    held = HeldRunner(world)
    held.arm(raw)
    prove(raw, 1)

    held.come_back(1)
    held.settle(raw)

    other = {
        Outcome.AMBIGUOUS: MessageState.UNKNOWN,
        Outcome.REJECTED: MessageState.FAILED,
        Outcome.RETRY: MessageState.QUEUED,
    }[outcome]
    assert states() == {1: MessageState.SENT, 2: other}
    proven = Message.objects.get(n=1)
    assert (proven.error, proven.attempt, proven.provider_id) == (None, 0, "proven")
    retries = MessageBatch.objects.exclude(members=None).values_list("members", flat=True)
    assert list(retries) == ([[2]] if outcome == Outcome.RETRY else [])
    progress = mailout_progress(mailout)
    assert progress.sent == 1
    assert progress.sent + progress.failed + progress.unknown + progress.waiting == 2


def test_a_proven_message_of_a_lost_worker_is_sent_not_unknown(world: World, raw: Connection) -> None:
    world.add_people(3)
    mailout = world.launch()
    HeldRunner(world).arm(raw)
    prove(raw, 2)
    expire(raw)

    assert reap(raw) == 2
    tick(raw, slots=2)

    assert states() == {1: MessageState.UNKNOWN, 2: MessageState.SENT, 3: MessageState.UNKNOWN}
    assert Message.objects.get(n=2).error is None
    progress = mailout_progress(mailout)
    assert (progress.sent, progress.unknown, progress.state) == (1, 2, "finished")


def test_a_proven_message_that_nobody_settled_is_no_stray(world: World, raw: Connection) -> None:
    world.add_people(2)
    mailout = world.launch()
    MessageBatch.objects.all().delete()
    prove(raw, 1)

    tick(raw, slots=2)
    assert list(MessageBatch.objects.values_list("members", flat=True)) == [[2]]
    world.run()
    tick(raw, slots=2)

    assert world.provider.handed_over == {"p1@example.com": 1}
    assert states() == {1: MessageState.SENT, 2: MessageState.SENT}
    assert mailout_progress(mailout).sent == 2


def test_a_proven_message_is_never_read_for_arming_again(world: World, raw: Connection) -> None:
    world.add_people(2)
    world.launch()
    prove(raw, 1)

    world.run()

    assert world.provider.handed_over == {"p1@example.com": 1}


@pytest.mark.parametrize("members", [False, True])
def test_a_late_answer_changes_nothing_about_a_proven_message(world: World, raw: Connection, members: bool) -> None:
    world.add_people(3)
    world.launch()
    if members:
        MessageBatch.objects.update(members=[1, 2, 3], lo=0, hi=3, armed_to=0)
    held = HeldRunner(world)
    held.arm(raw)
    expire(raw)
    reap(raw)
    raw.execute("UPDATE delivery_message SET state = 1, provider_id = 'proven' WHERE n = 1")
    held.gate.set()
    call = held.results.get(timeout=5)
    call.result = CallResult(
        [
            EntryResult(Outcome.REJECTED, "", "rejected: x"),
            EntryResult(Outcome.AMBIGUOUS, "", "timeout: y"),
            EntryResult(Outcome.ACCEPTED, "late-id", ""),
        ]
    )

    settle_late(raw, [call])

    assert states() == {1: MessageState.SENT, 2: MessageState.UNKNOWN, 3: MessageState.SENT}
    assert Message.objects.get(n=3).provider_id == "late-id"


def test_a_late_answer_that_says_nothing_leaves_people_unknown(world: World, raw: Connection) -> None:
    world.add_people(2)
    mailout = world.launch()
    held = HeldRunner(world)
    held.arm(raw)
    expire(raw)
    reap(raw)
    held.gate.set()
    call = held.results.get(timeout=5)

    for entries in ([EntryResult(Outcome.ACCEPTED, "id", "")], [EntryResult(Outcome.AMBIGUOUS, "", "timeout: x")] * 2):
        call.result = CallResult(entries)
        settle_late(raw, [call])

    assert mailout_progress(mailout).unknown == 2
    assert arming.find_calls(raw, [call.id]) == {call.id: SendCall.objects.get().state}


def test_stopping_does_not_cancel_a_proven_message(world: World, raw: Connection) -> None:
    """Refused by the answer, packed again, and then its event says that it went out."""
    world.add_people(2)
    mailout = world.launch()
    prove(raw, 1)

    cancel_mailout(mailout=mailout)
    tick(raw, slots=2)

    assert states() == {1: MessageState.SENT, 2: MessageState.CANCELLED}
    assert mailout_account(mailout).states["sent"] == 1
