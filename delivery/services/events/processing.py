"""The processor: takes stored messages in order of arrival and applies them, a batch per transaction.

Several may run at once: each takes rows that no other holds. A batch that fails is taken apart, so that one bad
message never blocks the others; after five attempts it goes to the dead ones, with its reason, for a person to look at.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import LiteralString, NamedTuple

import psycopg
import structlog
from django.db import OperationalError, connection, transaction
from psycopg import errors

from delivery.services.events.applying import apply_events
from delivery.services.events.arrays import columns
from delivery.services.events.ledger import Cursor, distrust_statistics, open_cursor
from delivery.services.events.model import MalformedEventError, ProviderEvent
from delivery.services.events.readers import read_act
from delivery.services.events.reports import SOURCE, read_report
from delivery.services.events.ses import read_event, read_sns

logger = structlog.get_logger(__name__)

BATCH = 1000
MAX_ATTEMPTS = 5
DEADLOCK_RETRIES = 5

READERS: dict[str, Callable[[bytes], list[ProviderEvent]]] = {
    "ses": read_sns,
    "event": read_event,
    "reader": read_act,
    SOURCE: read_report,
}


class InboxRow(NamedTuple):
    id: int
    source: str
    body: bytes
    attempts: int
    received_at: datetime


def process_inbox(*, limit: int = BATCH) -> int:
    """Process up to `limit` messages; return how many were taken off the inbox."""
    attempt = 1
    while True:
        try:
            return _process_batch(limit)
        except (psycopg.OperationalError, OperationalError) as error:
            if not _is_worth_repeating(error) or attempt == DEADLOCK_RETRIES:
                raise
            logger.info("events.deadlock", attempt=attempt)
            attempt += 1
        except Exception:
            logger.exception("events.batch_failed")
            return _process_one_by_one(limit)


def _is_worth_repeating(error: Exception) -> bool:
    causes = (error, error.__cause__)
    return any(isinstance(cause, errors.DeadlockDetected | errors.SerializationFailure) for cause in causes)


# Taken and deleted at once; what fails is back with the roll-back.
_TAKE = """
DELETE FROM delivery_inbox WHERE id = ANY(ARRAY(
    SELECT id FROM delivery_inbox ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
)) RETURNING id, source, body, attempts, received_at
"""
_TAKE_ONE = """
SELECT id, source, body, attempts, received_at FROM delivery_inbox WHERE id = %s FOR UPDATE SKIP LOCKED
"""


@contextmanager
def _without_collections() -> Iterator[None]:
    """A batch makes no cycles, but so many objects that looking for cycles takes a quarter of its time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@transaction.atomic
@_without_collections()
def _process_batch(limit: int) -> int:
    cursor = open_cursor()
    distrust_statistics(cursor)
    rows = sorted(_take(cursor, _TAKE, limit))
    if rows:
        _process_rows(cursor, rows)
    return len(rows)


def _process_one_by_one(limit: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM delivery_inbox ORDER BY id LIMIT %s", [limit])
        ids = [row[0] for row in cursor.fetchall()]
    return sum(_process_single(inbox_id) for inbox_id in ids)


def _process_single(inbox_id: int) -> int:
    """Process one message, or count the failed attempt; at last bury it."""
    try:
        with transaction.atomic():
            cursor = open_cursor()
            rows = _take(cursor, _TAKE_ONE, inbox_id)
            _process_rows(cursor, rows)
            _delete(cursor, inbox_id)
            return len(rows)
    except Exception as error:
        if isinstance(error, psycopg.OperationalError | OperationalError):
            raise  # the database's trouble, not the message's
        logger.exception("events.message_failed", inbox=inbox_id)
        reason = f"{type(error).__name__}: {error}"[:1000]
    with transaction.atomic():
        cursor = open_cursor()
        rows = _take(cursor, _TAKE_ONE, inbox_id)
        if not rows:
            return 0
        if rows[0].attempts + 1 < MAX_ATTEMPTS:
            cursor.execute("UPDATE delivery_inbox SET attempts = attempts + 1 WHERE id = %s", [inbox_id])
            return 0
        _bury(cursor, [(rows[0], reason)])
        _delete(cursor, inbox_id)
        return 1


def _take(cursor: Cursor, query: LiteralString, value: int) -> list[InboxRow]:
    cursor.execute(query, [value], binary=True)
    return [InboxRow._make(row) for row in cursor.fetchall()]


def _process_rows(cursor: Cursor, rows: Sequence[InboxRow]) -> None:
    events: list[ProviderEvent] = []
    origin: dict[int, InboxRow] = {}
    dead: list[tuple[InboxRow, str]] = []
    for row in rows:
        try:
            made = READERS[row.source](row.body)
        except MalformedEventError as error:
            dead.append((row, str(error)))
            continue
        for event in made:
            origin[id(event)] = row
        events += made
    if events:
        for event, reason in apply_events(events):
            logger.warning("events.foreign", mailout=event.mailout_id, n=event.n, reason=reason)
            dead.append((origin[id(event)], reason))
    if dead:
        _bury(cursor, dead)


def _bury(cursor: Cursor, dead: Sequence[tuple[InboxRow, str]]) -> None:
    once = {row.id: (row.source, row.body, reason, row.received_at) for row, reason in dead}
    cursor.execute(
        """
        INSERT INTO delivery_inbox_dead (source, body, error, received_at, died_at)
        SELECT v.source, v.body, v.error, v.received_at, clock_timestamp()
          FROM unnest(%b::text[], %b::bytea[], %b::text[], %b::timestamptz[]) AS v(source, body, error, received_at)
        """,
        columns("sbst", list(once.values())),
    )
    logger.warning("events.dead", count=len(once))


def _delete(cursor: Cursor, inbox_id: int) -> None:
    cursor.execute("DELETE FROM delivery_inbox WHERE id = %s", [inbox_id])
