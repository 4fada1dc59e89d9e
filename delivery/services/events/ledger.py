"""The ledger's side of event processing: raw SQL over sets, inside the processor's transaction.

Messages are locked first, by (mailout_id, n), as every writer does. A fresh mailout is not in the statistics yet, so
that the planner would read the whole of it rather than look up a thousand rows: within these transactions joins are
nested loops over an index, whatever it believes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from django.db import connection

from delivery.models import EventType, MessageState
from delivery.services.events.arrays import columns, pack, register
from delivery.services.events.judging import Act

Key = tuple[int, int]  # mailout_id, n
EventKey = tuple[int, int, int, datetime, int]  # mailout_id, n, type, at, disc
Cursor = psycopg.Cursor[tuple[Any, ...]]

# Positions in Row.facts.
DELIVERED, BOUNCED, COMPLAINED, UNSUBSCRIBED, OPENED, OPENED_HUMAN, CLICKED, CLICKED_HUMAN = range(8)
FACT_OF_TYPE = {
    EventType.DELIVERED.value: DELIVERED,
    EventType.BOUNCED.value: BOUNCED,
    EventType.COMPLAINED.value: COMPLAINED,
    EventType.UNSUBSCRIBED.value: UNSUBSCRIBED,
    EventType.OPENED.value: OPENED,
    EventType.CLICKED.value: CLICKED,
}
FACT_COLUMNS = (
    "delivered_at",
    "bounced_at",
    "complained_at",
    "unsubscribed_at",
    "opened_at",
    "opened_human_at",
    "clicked_at",
    "clicked_human_at",
)


class MailoutInfo(NamedTuple):
    organization_id: int
    counts: bool  # in statistics and engagement: neither a test send nor a dry run


class Row:
    """A locked message: what it was, and what events make of it.

    is_marked: state, sent_at, provider_id or error is to be written. first_was, first: of types without a fact of their
    own, the earliest time before and after this batch.
    """

    __slots__ = (
        "attempt",
        "counts",
        "domain_id",
        "email_no",
        "error",
        "facts",
        "first",
        "first_was",
        "is_marked",
        "key",
        "mailout_id",
        "n",
        "provider_id",
        "sent_at",
        "state",
        "subscriber_id",
        "was",
        "was_state",
    )

    def __init__(self, values: tuple[Any, ...], mailouts: dict[int, MailoutInfo]) -> None:
        (
            self.mailout_id,
            self.n,
            self.state,
            self.attempt,
            self.email_no,
            self.domain_id,
            self.subscriber_id,
            self.provider_id,
            self.sent_at,
        ) = values[:9]
        self.key: Key = values[:2]
        self.was: tuple[datetime | None, ...] = values[9:]
        self.facts: list[datetime | None] = list(self.was)
        self.was_state: int = self.state
        self.is_marked = False
        self.error: str | None = None
        self.first_was: dict[int, datetime] | None = None
        self.first: dict[int, datetime] | None = None
        info = mailouts.get(self.mailout_id)
        self.counts = info is not None and info.counts


def open_cursor(on: psycopg.Connection | None = None) -> Cursor:
    """A cursor of psycopg's own, on Django's connection unless told: binds on the server, takes packed columns."""
    if on is None:
        connection.ensure_connection()
    cursor: Cursor = psycopg.Cursor(on or connection.connection)
    register(cursor)
    return cursor


_PLAN = """
SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
       set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)
"""


def distrust_statistics(cursor: Cursor) -> None:
    """Until the end of the transaction, look rows up by their keys."""
    cursor.execute(_PLAN)


def read_mailouts(cursor: Cursor, ids: Iterable[int]) -> dict[int, MailoutInfo]:
    cursor.execute(
        "SELECT id, organization_id, kind <> 'test' AND NOT is_dry_run FROM delivery_mailout WHERE id = ANY(%b::int[])",
        [sorted(ids)],
        binary=True,
    )
    return {row[0]: MailoutInfo(row[1], row[2]) for row in cursor}


_LOCK = """
SELECT m.mailout_id, m.n, m.state, m.attempt, m.email_no, m.domain_id, m.subscriber_id, m.provider_id, m.sent_at,
       m.delivered_at, m.bounced_at, m.complained_at, m.unsubscribed_at, m.opened_at, m.opened_human_at,
       m.clicked_at, m.clicked_human_at
  FROM unnest(%b::int[], %b::int[]) AS k(mailout_id, n)
  JOIN delivery_message m ON m.mailout_id = k.mailout_id AND m.n = k.n
 ORDER BY m.mailout_id, m.n
   FOR NO KEY UPDATE OF m
"""


def lock_messages(cursor: Cursor, keys: Iterable[Key], mailouts: dict[int, MailoutInfo]) -> dict[Key, Row]:
    """Lock the messages in the order of all writers and read them."""
    cursor.execute(_LOCK, columns("ii", sorted(keys)), binary=True)
    return {values[:2]: Row(values, mailouts) for values in cursor.fetchall()}


_ACTS = """
SELECT e.mailout_id, e.n, e.type, e.at, e.disc, e.link_no, e.verdict, COALESCE(e.detail->>'ip', ''),
       COALESCE(e.detail->>'ua', ''), e.detail IS NULL
  FROM unnest(%b::int[], %b::int[]) AS k(mailout_id, n)
  JOIN delivery_event e ON e.mailout_id = k.mailout_id AND e.n = k.n AND e.type IN (9, 10)
 ORDER BY e.mailout_id, e.n, e.at, e.type, e.disc
"""


def read_acts(cursor: Cursor, keys: Iterable[Key]) -> dict[Key, list[Act]]:
    """Every open and click of the messages."""
    cursor.execute(_ACTS, columns("ii", sorted(keys)), binary=True)
    acts: dict[Key, list[Act]] = {}
    for row in cursor:
        acts.setdefault((row[0], row[1]), []).append(Act(*row[2:]))
    return acts


def update_verdicts(cursor: Cursor, verdicts: dict[EventKey, int]) -> None:
    rows = [(*key, verdict) for key, verdict in sorted(verdicts.items())]
    cursor.execute(
        """
        UPDATE delivery_event e SET verdict = v.verdict
          FROM unnest(%b::int[], %b::int[], %b::smallint[], %b::timestamptz[], %b::int[], %b::smallint[])
               AS v(mailout_id, n, type, at, disc, verdict)
         WHERE e.mailout_id = v.mailout_id AND e.n = v.n AND e.type = v.type AND e.at = v.at AND e.disc = v.disc
        """,
        columns("iihtih", rows),
    )


def update_facts(cursor: Cursor, rows: Iterable[Row]) -> None:
    """Write the facts of messages whose facts changed; they are locked, so the new values are the truth.

    Only the columns that changed anywhere in the batch are bound.
    """
    changed = [row for row in rows if tuple(row.facts) != row.was]
    if not changed:
        return
    places = [index for index in range(8) if any(row.facts[index] is not row.was[index] for row in changed)]
    names = [FACT_COLUMNS[index] for index in places]
    cursor.execute(
        f"""
        UPDATE delivery_message m SET {", ".join(f"{name} = v.{name}" for name in names)}
          FROM unnest(%b::int[], %b::int[], {", ".join("%b::timestamptz[]" for _ in names)})
               AS v(mailout_id, n, {", ".join(names)})
         WHERE m.mailout_id = v.mailout_id AND m.n = v.n
        """.encode(),
        [
            pack("i", [row.mailout_id for row in changed]),
            pack("i", [row.n for row in changed]),
            *(pack("t", [row.facts[index] for row in changed]) for index in places),
        ],
    )


def update_states(cursor: Cursor, rows: Iterable[Row]) -> None:
    """Write state, acceptance and error of the few messages that events moved or marked."""
    marked = [
        (row.mailout_id, row.n, row.state, row.sent_at, row.provider_id, row.error) for row in rows if row.is_marked
    ]
    if marked:
        cursor.execute(
            """
            UPDATE delivery_message m
               SET state = v.state, sent_at = v.sent_at, provider_id = v.provider_id, error = COALESCE(v.error, m.error)
              FROM unnest(%b::int[], %b::int[], %b::smallint[], %b::timestamptz[], %b::text[], %b::text[])
                   AS v(mailout_id, n, state, sent_at, provider_id, error)
             WHERE m.mailout_id = v.mailout_id AND m.n = v.n
            """,
            columns("iihtss", marked),
        )


_COUNTERS = """
WITH moved AS (
    SELECT * FROM unnest(%b::int[], %b::int[], %b::smallint[], %b::int[], %b::int[], %b::int[], %b::int[], %b::int[])
                  AS v(mailout_id, n, attempt, sent, failed, unknown, excluded, cancelled)
), home AS (
    -- The batch that counted the message: its latest of the message's attempt.
    SELECT DISTINCT ON (v.mailout_id, v.n) b.id, v.sent, v.failed, v.unknown, v.excluded, v.cancelled
      FROM moved v
      JOIN delivery_message_batch b ON b.mailout_id = v.mailout_id
       AND ((b.members IS NULL AND v.n >= b.lo AND v.n < b.hi) OR v.n = ANY(b.members))
     ORDER BY v.mailout_id, v.n, (b.attempt = v.attempt) DESC, b.id DESC
), sums AS (
    SELECT id, sum(sent) AS sent, sum(failed) AS failed, sum(unknown) AS unknown, sum(excluded) AS excluded,
           sum(cancelled) AS cancelled
      FROM home GROUP BY id
)
UPDATE delivery_message_batch b
   SET sent = b.sent + s.sent, failed = b.failed + s.failed, unknown = b.unknown + s.unknown,
       excluded = b.excluded + s.excluded, cancelled = b.cancelled + s.cancelled
  FROM sums s WHERE b.id = s.id
"""
_COUNTED = (
    (MessageState.SENT.value, MessageState.SIMULATED.value),
    (MessageState.FAILED.value,),
    (MessageState.UNKNOWN.value,),
    (MessageState.EXCLUDED.value,),
    (MessageState.CANCELLED.value,),
)


class Move(NamedTuple):
    """A message whose state changes outside the settling of its call. attempt: the one that its old state was counted for."""

    mailout_id: int
    n: int
    attempt: int
    was: int
    now: int


def move_counters(cursor: Cursor, moves: Sequence[Move]) -> None:
    """Move the batches' counters with the messages, and have finished mailouts counted again.

    The mailout's row is locked even when it is stale already: whoever is counting it again must see these moves or come
    after them. Mailouts before batches, as in every writer that locks both.
    """
    cursor.execute(
        "UPDATE delivery_mailout SET is_account_stale = true WHERE id = ANY(%b::int[]) AND finished_at IS NOT NULL",
        [sorted({move.mailout_id for move in moves})],
    )
    rows = [
        (
            move.mailout_id,
            move.n,
            move.attempt,
            *((move.now in states) - (move.was in states) for states in _COUNTED),
        )
        for move in moves
    ]
    cursor.execute(_COUNTERS, columns("iihiiiii", rows))
