"""What events say about a person over all mailouts: one narrow row each, and the soft bounces that add up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from delivery.models import EventType
from delivery.services.events.arrays import columns
from delivery.services.events.bounces import MESSAGE_CAUSED
from delivery.services.events.ledger import (
    BOUNCED,
    CLICKED_HUMAN,
    DELIVERED,
    OPENED_HUMAN,
    Cursor,
    Row,
)

_OPEN_TYPE = EventType.OPENED.value
SOFT_BOUNCE_LIMIT = 5  # distinct mailouts without a delivery between
SOFT_BOUNCE_WINDOW_DAYS = 90
SOFT_BOUNCE_PAUSE_DAYS = 30


# Positions in a person's change: three differences, three times. A list, since there is one per message.
_DELIVERED, _OPENED, _CLICKED, _DELIVERED_AT, _OPENED_AT, _CLICKED_AT = range(6)


def _raise(change: list[Any], index: int, at: datetime) -> None:
    known = change[index]
    if known is None or at > known:
        change[index] = at


class Engagement:
    """What one batch of events changes in `subscribers_engagement`.

    Counts move with the facts, also back when a click turns out to be a machine's; the `last_…` times never go back.
    """

    def __init__(self) -> None:
        self._changes: dict[int, list[Any]] = {}
        self._soft: set[int] = set()

    def _of(self, row: Row) -> list[Any]:
        change = self._changes.get(row.subscriber_id)
        if change is None:
            change = self._changes[row.subscriber_id] = [0, 0, 0, None, None, None]
        return change

    def add_delivery(self, row: Row, at: datetime) -> None:
        _raise(self._of(row), _DELIVERED_AT, at)

    def add_human_act(self, row: Row, type_: int, at: datetime) -> None:
        _raise(self._of(row), _OPENED_AT if type_ == _OPEN_TYPE else _CLICKED_AT, at)

    def add_soft_bounce(self, row: Row) -> None:
        self._of(row)
        self._soft.add(row.subscriber_id)

    def move_message(self, row: Row) -> None:
        """Count a message by the difference between what it was and what it is."""
        facts, was = row.facts, row.was
        delivered = _is_delivered(facts) - _is_delivered(was)
        opened = (facts[OPENED_HUMAN] is not None) - (was[OPENED_HUMAN] is not None)
        clicked = (facts[CLICKED_HUMAN] is not None) - (was[CLICKED_HUMAN] is not None)
        if delivered or opened or clicked:
            change = self._of(row)
            change[_DELIVERED] += delivered
            change[_OPENED] += opened
            change[_CLICKED] += clicked

    def write(self, cursor: Cursor) -> list[SoftBounces]:
        """Write the differences in the order of subscribers; return the people whose soft bounces changed."""
        if not self._changes:
            return []
        rows = [(subscriber_id, *change) for subscriber_id, change in sorted(self._changes.items())]
        cursor.execute(_UPSERT, columns("qiiittt", rows), binary=True)
        bouncing = {row[0] for row in cursor if row[1]}
        return _count_soft_bounces(cursor, self._soft | bouncing)


def _is_delivered(facts: Sequence[datetime | None]) -> bool:
    return facts[DELIVERED] is not None and facts[BOUNCED] is None


_UPSERT = """
INSERT INTO subscribers_engagement AS e
       (subscriber_id, delivered, opened, clicked, soft_bounces, last_delivered_at, last_opened_at, last_clicked_at)
SELECT id, delivered, opened, clicked, 0, delivered_at, opened_at, clicked_at
  FROM unnest(%b::bigint[], %b::int[], %b::int[], %b::int[], %b::timestamptz[], %b::timestamptz[], %b::timestamptz[])
       AS v(id, delivered, opened, clicked, delivered_at, opened_at, clicked_at)
    ON CONFLICT (subscriber_id) DO UPDATE
   SET delivered = e.delivered + EXCLUDED.delivered, opened = e.opened + EXCLUDED.opened,
       clicked = e.clicked + EXCLUDED.clicked,
       last_delivered_at = GREATEST(e.last_delivered_at, EXCLUDED.last_delivered_at),
       last_opened_at = GREATEST(e.last_opened_at, EXCLUDED.last_opened_at),
       last_clicked_at = GREATEST(e.last_clicked_at, EXCLUDED.last_clicked_at)
RETURNING subscriber_id, soft_bounces
"""


class SoftBounces(NamedTuple):
    """How a person's count of softly bounced mailouts since the last delivery changed."""

    organization_id: int
    address_key: str
    was: int
    now: int
    at: datetime | None  # of the latest such bounce


def _count_soft_bounces(cursor: Cursor, subscribers: Iterable[int]) -> list[SoftBounces]:
    """Count from the ledger rather than add up, so that the order of events makes no difference.

    Few people at a time, and each with the mailouts of three months: some tens of index look-ups.
    """
    ids = sorted(subscribers)
    if not ids:
        return []
    cursor.execute(
        """
        WITH bounced AS (
            SELECT s.id, m.mailout_id, max(e.at) AS at
              FROM unnest(%b::bigint[]) AS k(id)
              JOIN subscribers_subscriber s ON s.id = k.id
              JOIN subscribers_engagement g ON g.subscriber_id = s.id
              JOIN delivery_mailout o ON o.organization_id = s.organization_id AND o.kind <> 'test'
                                     AND NOT o.is_dry_run
                                     AND o.frozen_at > clock_timestamp() - %s * interval '1 day'
              JOIN delivery_message m ON m.mailout_id = o.id AND m.subscriber_id = s.id
              JOIN delivery_event e ON e.mailout_id = m.mailout_id AND e.n = m.n AND e.type = 4
             WHERE COALESCE(e.detail->>'subtype', '') <> ALL(%s::text[])
               AND (g.last_delivered_at IS NULL OR e.at > g.last_delivered_at)
             GROUP BY s.id, m.mailout_id
        ), counted AS (
            SELECT s.id, s.organization_id, s.address_key, g.soft_bounces AS was, count(b.mailout_id)::smallint AS now,
                   max(b.mailout_id) AS latest, max(b.at) AS at
              FROM unnest(%b::bigint[]) AS k(id)
              JOIN subscribers_subscriber s ON s.id = k.id
              JOIN subscribers_engagement g ON g.subscriber_id = s.id
              LEFT JOIN bounced b ON b.id = s.id
             GROUP BY s.id, g.soft_bounces
        ), written AS (
            UPDATE subscribers_engagement g
               SET soft_bounces = c.now,
                   last_bounced_mailout_id = GREATEST(g.last_bounced_mailout_id, c.latest)
              FROM counted c
             WHERE g.subscriber_id = c.id AND g.soft_bounces <> c.now
        )
        SELECT organization_id, address_key, was, now, at FROM counted WHERE was <> now ORDER BY 1, 2
        """,
        [ids, SOFT_BOUNCE_WINDOW_DAYS, list(MESSAGE_CAUSED), ids],
        binary=True,
    )
    return [SoftBounces(*row) for row in cursor]
