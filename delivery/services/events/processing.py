"""The processor: takes stored messages in order of arrival and applies them, a batch per transaction.

Several may run at once: each takes rows that no other holds. A batch that fails is taken apart, so that one bad
message never blocks the others; after five attempts it goes to the dead ones, with its reason, for a person to look at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

import psycopg
import structlog
from django.db import OperationalError, connection, transaction
from psycopg import errors

from delivery.services.events.applying import apply_events
from delivery.services.events.ledger import Cursor, columns, open_cursor
from delivery.services.events.model import MalformedEventError, ProviderEvent
from delivery.services.events.readers import read_act
from delivery.services.events.ses import read_sns

logger = structlog.get_logger(__name__)

BATCH = 1000
MAX_ATTEMPTS = 5
DEADLOCK_RETRIES = 5

READERS: dict[str, Callable[[bytes], list[ProviderEvent]]] = {"ses": read_sns, "reader": read_act}


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


@transaction.atomic
def _process_batch(limit: int) -> int:
    cursor = open_cursor()
    rows = _take(cursor, "ORDER BY id LIMIT %s", limit)
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
            rows = _take(cursor, "WHERE id = %s", inbox_id)
            _process_rows(cursor, rows)
            return len(rows)
    except Exception as error:
        if isinstance(error, psycopg.OperationalError | OperationalError):
            raise  # the database's trouble, not the message's
        logger.exception("events.message_failed", inbox=inbox_id)
        reason = f"{type(error).__name__}: {error}"[:1000]
    with transaction.atomic():
        cursor = open_cursor()
        rows = _take(cursor, "WHERE id = %s", inbox_id)
        if not rows:
            return 0
        if rows[0].attempts + 1 < MAX_ATTEMPTS:
            cursor.execute("UPDATE delivery_inbox SET attempts = attempts + 1 WHERE id = %s", [inbox_id])
            return 0
        _bury(cursor, [(rows[0], reason)])
        _delete(cursor, rows)
        return 1


def _take(cursor: Cursor, which: str, value: int) -> list[InboxRow]:
    query = f"SELECT id, source, body, attempts, received_at FROM delivery_inbox {which} FOR UPDATE SKIP LOCKED"
    cursor.execute(query.encode(), [value], binary=True)
    return [InboxRow(*row) for row in cursor]


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
        for event in apply_events(events):
            logger.warning("events.destination_mismatch", mailout=event.mailout_id, n=event.n)
            dead.append((origin[id(event)], "the destination is not the message's"))
    if dead:
        _bury(cursor, dead)
    _delete(cursor, rows)


def _bury(cursor: Cursor, dead: Sequence[tuple[InboxRow, str]]) -> None:
    once = {row.id: (row.source, row.body, reason, row.received_at) for row, reason in dead}
    cursor.execute(
        """
        INSERT INTO delivery_inbox_dead (source, body, error, received_at, died_at)
        SELECT v.source, v.body, v.error, v.received_at, clock_timestamp()
          FROM unnest(%s::text[], %b::bytea[], %s::text[], %b::timestamptz[]) AS v(source, body, error, received_at)
        """,
        columns(once.values(), 4),
    )
    logger.warning("events.dead", count=len(once))


def _delete(cursor: Cursor, rows: Sequence[InboxRow]) -> None:
    if rows:
        cursor.execute("DELETE FROM delivery_inbox WHERE id = ANY(%b::bigint[])", [[row.id for row in rows]])
