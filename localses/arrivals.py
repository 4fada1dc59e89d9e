"""How the events of an email arrive when a fault disturbs them: late, again, in another order, or never."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field

from localses.fates import Step
from localses.faults import Fault

Steps = Sequence[tuple[str | None, Step]]


@dataclass(slots=True)
class Arrival:
    """One event of an email: when it happens and when it arrives, in seconds from acceptance.

    `copies` holds when it arrives again, and whether that is under the same SNS message id.
    """

    recipient: str | None
    step: Step
    after: float
    copies: list[tuple[float, bool]] = field(default_factory=list)
    is_missing: bool = False


def arrange(steps: Steps, faults: Sequence[Fault]) -> tuple[list[Arrival], list[str]]:
    """Let the faults fire on the events of one email; return how all of them arrive, and the names of those that did.

    What readers do stays as it is.
    """
    arrivals = [Arrival(recipient, step, step.after) for recipient, step in steps]
    events = [arrival for arrival in arrivals if not arrival.step.kind.startswith("READ_")]
    fired: list[str] = []
    for fault in faults:
        if fault.kind == "reordered_events":
            if len(events) > 1 and fault.fires():
                _reverse(events, fault.own["gap_ms"] / 1000)
                fired.append(fault.name)
            continue
        for arrival in events:
            if arrival.step.kind in fault.own["events"] and not arrival.is_missing and fault.fires():
                _disturb(arrival, fault)
                fired.append(fault.name)
    return arrivals, list(dict.fromkeys(fired))


def _reverse(events: list[Arrival], gap: float) -> None:
    # The last to happen comes first, and not before it happened.
    start = max(arrival.after for arrival in events)
    ordered = sorted(events, key=lambda arrival: arrival.step.after)
    ordered.reverse()  # unlike a sort in reverse also for those that happen at the same moment
    for position, arrival in enumerate(ordered):
        arrival.after = start + position * gap


def _disturb(arrival: Arrival, fault: Fault) -> None:
    if fault.kind == "missing_events":
        arrival.is_missing = True
    elif fault.kind == "late_events":
        arrival.after += fault.seconds()
    else:
        again = arrival.after + fault.seconds()
        arrival.copies += [(again, fault.own["same_id"])] * fault.own["copies"]


def write(db: sqlite3.Connection, message: int, accepted_at: float, arrivals: list[Arrival]) -> None:
    """Store the events of an email with how they arrive. Called inside the transaction that accepts it."""
    for arrival in arrivals:
        happens_at = accepted_at + arrival.step.after
        event = _insert(db, message, arrival, accepted_at + arrival.after)
        _note(db, event, happens_at, is_missing=arrival.is_missing)
        for after, same_id in arrival.copies:
            copy = _insert(db, message, arrival, accepted_at + after)
            _note(db, copy, happens_at, is_missing=arrival.is_missing, copy_of=event, has_own_id=not same_id)


def _insert(db: sqlite3.Connection, message: int, arrival: Arrival, due_at: float) -> int | None:
    step = arrival.step
    return db.execute(
        "INSERT INTO event (message, kind, recipient, detail, due_at) VALUES (?, ?, ?, ?, ?)",
        (message, step.kind, arrival.recipient, step.detail, due_at),
    ).lastrowid


def _note(
    db: sqlite3.Connection, event: int | None, happens_at: float, *, is_missing: bool, copy_of: int | None = None,
    has_own_id: bool = False,
) -> None:  # fmt: skip
    db.execute(
        "INSERT INTO disturbed_event (event, happens_at, copy_of, has_own_id, is_missing) VALUES (?, ?, ?, ?, ?)",
        (event, happens_at, copy_of, has_own_id, is_missing),
    )
