"""What came of the courier's work, written down."""

from __future__ import annotations

import logging
import sqlite3
import time
from dataclasses import dataclass, field

import orjson

from localses import store
from localses.envelopes import Post
from localses.events import Event, feedback_id
from localses.fates import simulator_name
from localses.readers import Act
from localses.topics import enqueue

logger = logging.getLogger("localses")

FIRST_BACKOFF = 0.5  # seconds; SNS starts at 20, too slow for a laptop
LONGEST_BACKOFF = 30.0
GIVE_UP_AFTER = 3600.0  # SNS's longest policy


@dataclass(slots=True)
class Done:
    """What came of one event: posts to repeat, and what SES noticed of a reader."""

    event: Event
    retries: list[Post] = field(default_factory=list)
    act: Act | None = None
    tracked: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """A row of the outbox."""

    id: int
    post: Post
    attempts: int
    created_at: float


def backoff(attempts: int) -> float:
    """Return the seconds to wait after so many attempts."""
    return min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** (attempts - 1))


def write(db: sqlite3.Connection, finished: list[Done], delivered: list[tuple[Waiting, bool]]) -> None:
    """Write down what came of events and posts, in one transaction."""
    now = time.time()
    with store.transaction(db):
        for done in finished:
            for post in done.retries:
                enqueue(db, post, now, attempts=1, due_at=now + backoff(1))
            _note_act(db, done, now)
            _suppress(db, done.event)
        db.executemany("UPDATE event SET done_at = ? WHERE id = ?", [(now, done.event.id) for done in finished])
        for waiting, arrived in delivered:
            _settle_post(db, waiting, now, arrived=arrived)


def _settle_post(db: sqlite3.Connection, waiting: Waiting, now: float, *, arrived: bool) -> None:
    if arrived or now - waiting.created_at > GIVE_UP_AFTER:
        if not arrived:
            logger.error("localses.post_given_up", extra={"endpoint": waiting.post.endpoint})
        db.execute("DELETE FROM outbox WHERE id = ?", (waiting.id,))
        return
    attempts = waiting.attempts + 1
    db.execute(
        "UPDATE outbox SET attempts = ?, due_at = ? WHERE id = ?", (attempts, now + backoff(attempts), waiting.id)
    )


def _note_act(db: sqlite3.Connection, done: Done, now: float) -> None:
    """Keep what a reader did, and make the Open or Click that SES itself would have tracked."""
    if done.act is None:
        return
    db.execute("UPDATE event SET detail = ? WHERE id = ?", (done.act.said, done.event.id))
    if done.act.kind is not None and done.tracked:
        seen = orjson.dumps({"userAgent": done.act.user_agent, "link": done.act.link}).decode()
        db.execute(
            "INSERT INTO event (message, kind, recipient, detail, due_at) VALUES (?, ?, ?, ?, ?)",
            (done.event.message, done.act.kind, done.event.recipient, seen, now),
        )


def _suppress(db: sqlite3.Connection, event: Event) -> None:
    """Put hard bounces and complaints on the account's suppression list, as SES does."""
    reason = {"BOUNCE": "BOUNCE", "COMPLAINT": "COMPLAINT"}.get(event.kind)
    if reason is None or event.recipient is None or simulator_name(event.recipient) is not None:
        return
    if event.kind == "BOUNCE" and event.detail != "Permanent/General":
        return
    if reason not in store.suppressed_reasons(db, None):
        return
    message = store.message(db, event.message)
    if message is not None:
        db.execute(
            "INSERT OR IGNORE INTO suppression (address, reason, created_at, message_id, feedback_id)"
            " VALUES (?, ?, ?, ?, ?)",
            (event.recipient.lower(), reason, event.due_at, message["message_id"], feedback_id(message, event)),
        )
