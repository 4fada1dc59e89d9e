"""The ledger's events in the order in which they were committed, for consumers that keep a cursor.

Ids are drawn before a transaction commits, so a consumer that remembers the highest id it saw loses whatever commits
late. Rows carry the transaction that wrote them; only transactions older than every running one are handed out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from django.db import connection


class StreamPosition(NamedTuple):
    """Where a consumer is. A restored database starts a new history: its consumers begin again at START."""

    tx: int
    id: int


START = StreamPosition(0, 0)


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One committed event and the position after it."""

    position: StreamPosition
    mailout_id: int
    n: int
    type: int
    at: datetime
    link_no: int | None
    verdict: int
    detail: dict[str, Any] | None


def read_events(*, after: StreamPosition = START, limit: int = 1000) -> list[StreamEvent]:
    """Read the next events; every event comes exactly once to whoever passes on the last position."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT tx::text::bigint, id, mailout_id, n, type, at, link_no, verdict, detail
              FROM delivery_event
             WHERE (tx, id) > (%s::text::xid8, %s) AND tx < pg_snapshot_xmin(pg_current_snapshot())
             ORDER BY tx, id LIMIT %s
            """,
            [str(after.tx), after.id, limit],
        )
        return [_event(row) for row in cursor.fetchall()]


def _event(row: tuple[Any, ...]) -> StreamEvent:
    detail: dict[str, Any] | None = orjson.loads(row[8]) if isinstance(row[8], str) else row[8]
    return StreamEvent(StreamPosition(row[0], row[1]), row[2], row[3], row[4], row[5], row[6], row[7], detail)
