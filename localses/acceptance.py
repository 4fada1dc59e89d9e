"""Accepting emails: the rows that make them ours, written in one transaction before the client hears of it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

import orjson

from localses import arrivals, fates, limits
from localses.desk import Call, Desk
from localses.model import Json
from localses.store import pack, suppressed_reasons, transaction


@dataclass(slots=True)
class Outgoing:
    """One email that will be accepted: its recipients and all that differs from the call's constant content.

    `failure` is the name of a variable without a value; `rejected` says that a virus was found.
    """

    to: list[str]
    cc: list[str] = field(default_factory=list)
    bcc: list[str] = field(default_factory=list)
    data: str | None = None
    headers: list[Json] = field(default_factory=list)
    tags: list[Json] = field(default_factory=list)
    subject: str = ""
    failure: str | None = None
    rejected: bool = False

    @property
    def recipients(self) -> list[str]:
        """Return every recipient, names included."""
        return self.to + self.cc + self.bcc

    def stored(self) -> Json:
        """Return what is kept of it, without what is empty."""
        entry: Json = {"to": self.to}
        for name in ("cc", "bcc", "data", "headers", "tags"):
            if value := getattr(self, name):
                entry[name] = value
        return entry


def accept(call: Call, content: Json, configuration_set: str | None, emails: list[Outgoing]) -> list[str]:
    """Store the emails with everything that will happen to them and return their message ids, in order."""
    desk, turn = call.desk, call.turn
    answered = not turn.lose_answer()
    now = desk.clock()
    sets = desk.store.resource("configuration_set", configuration_set) if configuration_set else None
    suppressed = _suppressed(desk, emails, suppressed_reasons(desk.store.db, sets))
    ids = [_message_id(now) for _ in emails]
    db = desk.store.db
    with transaction(db):
        content_id = desk.store.content_id(content)
        submission = db.execute(
            "INSERT INTO submission (content_id, configuration_set, body) VALUES (?, ?, ?)",
            (content_id, configuration_set, pack([email.stored() for email in emails])),
        ).lastrowid
        row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'message'").fetchone()
        number = row["seq"] if row else 0
        messages: list[tuple[object, ...]] = []
        events: list[tuple[object, ...]] = []
        met: list[tuple[object, ...]] = []
        default_m = _tag_m(content.get("tags", []))
        for position, (email, message_id) in enumerate(zip(emails, ids, strict=True)):
            number += 1
            outcome, reader, steps = _story(desk, email, suppressed)
            tag_m = _tag_m(email.tags) or default_m
            to = ", ".join(email.recipients)
            messages.append((number, message_id, submission, position, now, to, email.subject, tag_m, outcome, reader))
            disturbed = turn.disturb(email.recipients, steps)
            if disturbed is None:
                events.extend((number, step.kind, whom, step.detail, now + step.after) for whom, step in steps)
            else:
                arrivals.write(db, number, now, disturbed[0])
            names = turn.names + (disturbed[1] if disturbed else [])
            if names:
                met.append((number, answered, orjson.dumps(names).decode()))
        db.executemany("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", messages)
        db.executemany("INSERT INTO event (message, kind, recipient, detail, due_at) VALUES (?, ?, ?, ?, ?)", events)
        db.executemany("INSERT INTO disturbed_message VALUES (?, ?, ?)", met)
        limits.add_usage(db, now, sum(limits.counted(email.recipients) for email in emails))
    return ids


def _suppressed(desk: Desk, emails: list[Outgoing], reasons: list[str]) -> frozenset[str]:
    if not reasons:
        return frozenset()
    addresses = [limits.bare_address(address).lower() for email in emails for address in email.recipients]
    marks = ",".join("?" * len(addresses))
    rows = desk.store.db.execute(
        f"SELECT address FROM suppression WHERE address IN ({marks}) AND reason IN ({','.join('?' * len(reasons))})",
        (*addresses, *reasons),
    )
    return frozenset(row["address"] for row in rows)


def _story(
    desk: Desk, email: Outgoing, suppressed: frozenset[str]
) -> tuple[str, str, list[tuple[str | None, fates.Step]]]:
    """Return outcome, reader's acts and steps by recipient; a step without one concerns the whole email."""
    if email.failure is not None:
        return "rendering_failed", "", [(None, fates.Step("RENDERING_FAILURE", 0, email.failure))]
    if email.rejected:
        return "rejected", "", [(None, fates.Step("REJECT", 0, "Bad content"))]
    outcomes: list[str] = []
    readers: list[str] = []
    steps: list[tuple[str | None, fates.Step]] = []
    for whom in email.recipients:
        address = limits.bare_address(whom)
        fate = fates.decide(
            address, settings=desk.settings, seed=desk.config.seed, suppressed=address.lower() in suppressed
        )
        outcomes.append(fate.outcome)
        readers.append(fate.reader)
        for step in fate.steps:
            if step.kind != "SEND":
                steps.append((address, step))
            elif len(outcomes) == 1:
                steps.append((None, step))
    # With several recipients the worst outcome names the email.
    outcome = next((name for name in outcomes if name not in {"delivered", "delayed"}), outcomes[0])
    return outcome, next(filter(None, readers), ""), steps


def _tag_m(tags: list[Json]) -> str | None:
    return next((str(tag["Value"]) for tag in tags if tag["Name"] == "m"), None)


def _message_id(now: float) -> str:
    raw = secrets.token_hex(16)
    return f"0100{int(now * 1000):012x}-{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}-000000"
