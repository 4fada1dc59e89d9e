"""Local SES's own record of what it accepted, for reconciliation, and its settings at run time."""

from __future__ import annotations

import sqlite3

import orjson

from localses import limits
from localses.model import Json
from localses.store import MESSAGE_COLUMNS, StoredMessage

MAX_PAGE = 10_000
_NOTHING_MET: tuple[bool, list[str]] = (True, [])


def messages_after(db: sqlite3.Connection, after: int, limit: int, to: str = "") -> Json:
    """Return accepted emails in order of acceptance, from behind the number `after`; of one recipient if `to` is given.

    `next` is what to ask for after this page, or null when there is nothing more now.
    """
    limit = max(1, min(limit, MAX_PAGE))
    rows = db.execute(
        f"SELECT {MESSAGE_COLUMNS} WHERE m.id > ? AND (? = '' OR instr(lower(m.recipient), ?)) ORDER BY m.id LIMIT ?",
        (after, to, to.lower(), limit),
    ).fetchall()
    met = _met(db, rows[0]["id"], rows[-1]["id"]) if rows else {}
    items = [_item(StoredMessage(row), *met.get(row["id"], _NOTHING_MET)) for row in rows]
    if to:
        items = [item for item in items if to.lower() in _bare_recipients(item["to"])]
    return {"messages": items, "next": rows[-1]["id"] if len(rows) == limit else None}


def faults_of(db: sqlite3.Connection, number: int) -> tuple[bool, list[str]]:
    """Return whether the sender was told that this email was accepted, and the names of the faults that it met."""
    return _met(db, number, number).get(number, _NOTHING_MET)


def _met(db: sqlite3.Connection, first: int, last: int) -> dict[int, tuple[bool, list[str]]]:
    found = db.execute("SELECT * FROM disturbed_message WHERE message BETWEEN ? AND ?", (first, last))
    return {row["message"]: (bool(row["answered"]), orjson.loads(row["faults"])) for row in found}


def _bare_recipients(text: str) -> list[str]:
    return [limits.bare_address(address).lower() for address in text.split(", ")]


def _item(message: StoredMessage, answered: bool, faults: list[str]) -> Json:
    return {
        "id": message["id"],
        "message_id": message["message_id"],
        "to": message["recipient"],
        "tags": message.tags,
        "accepted_at": message["accepted_at"],
        "subject": message["subject"],
        "configuration_set": message.configuration_set,
        "outcome": message["outcome"],
        "reader": message["reader"],
        "answered": answered,
        "faults": faults,
    }


def totals(db: sqlite3.Connection) -> Json:
    """Count what was accepted, by outcome, and what is still to happen."""
    outcomes = {
        row["outcome"]: row["n"]
        for row in db.execute("SELECT outcome, count(*) AS n FROM message GROUP BY outcome ORDER BY outcome")
    }
    pending = db.execute("SELECT count(*) AS n FROM event WHERE done_at IS NULL").fetchone()["n"]
    waiting = db.execute("SELECT count(*) AS n FROM outbox").fetchone()["n"]
    unanswered = db.execute("SELECT count(*) AS n FROM disturbed_message WHERE NOT answered").fetchone()["n"]
    return {
        "accepted": sum(outcomes.values()),
        "unanswered": unanswered,
        "outcomes": outcomes,
        "events_pending": pending,
        "posts_waiting": waiting,
    }


def stats(db: sqlite3.Connection) -> Json:
    """Add to the totals the emails that somebody got twice for one tag `m`. Reads every message: 2 s for a million."""
    duplicates = db.execute(
        "SELECT tag_m, recipient, count(*) AS n FROM message WHERE tag_m IS NOT NULL"
        " GROUP BY tag_m, recipient HAVING n > 1 ORDER BY n DESC LIMIT 1000"
    ).fetchall()
    return {
        **totals(db),
        "duplicates": len(duplicates),
        "duplicate_examples": [{"m": r["tag_m"], "to": r["recipient"], "times": r["n"]} for r in duplicates[:20]],
    }
