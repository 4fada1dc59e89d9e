"""A mailout that ended with people without an answer, and what is done about them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from delivery.engine.database import Connection
from delivery.engine.ticking import tick
from delivery.models import (
    Mailout,
    Message,
    MessageBatch,
)
from delivery.providers.base import CallResult, Entry, EntryResult, Outcome
from delivery.selectors.progress import mailout_account
from delivery.services.resending import send_again
from subscribers.models import Subscriber
from tests.delivery.engine.world import World, accept
from tests.delivery.events.notifications import event


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
