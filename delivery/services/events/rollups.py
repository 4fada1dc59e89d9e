"""The roll-ups: moved by exactly what changed, so that a report never counts rows.

`total` counts events. `uniq` and `uniq_human` count messages; a message stands in the hour of its fact, so a fact that
moves to an earlier time moves the message between hours. A message that bounced after all is no longer delivered.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any

from delivery.models import EventType, Verdict
from delivery.services.events.judging import Act
from delivery.services.events.ledger import (
    BOUNCED,
    CLICKED,
    CLICKED_HUMAN,
    COMPLAINED,
    DELIVERED,
    OPENED,
    OPENED_HUMAN,
    UNSUBSCRIBED,
    Cursor,
    Row,
    columns,
)

# Plain numbers, since looking up an enum's value costs more than the addition that follows.
_DELIVERED, _BOUNCED, _CLICKED = EventType.DELIVERED.value, EventType.BOUNCED.value, EventType.CLICKED.value
_HUMAN = Verdict.HUMAN.value
# Fact, type, and the column it moves: 1 counts messages, 2 those of people.
_MOVES = (
    (COMPLAINED, EventType.COMPLAINED.value, 1),
    (UNSUBSCRIBED, EventType.UNSUBSCRIBED.value, 1),
    (OPENED, EventType.OPENED.value, 1),
    (CLICKED, EventType.CLICKED.value, 1),
    (OPENED_HUMAN, EventType.OPENED.value, 2),
    (CLICKED_HUMAN, EventType.CLICKED.value, 2),
)


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _zeros() -> list[int]:
    return [0, 0, 0]


class Rollups:
    """What one batch of events changes in the four tables."""

    def __init__(self) -> None:
        self._email: dict[tuple[int, int, int], list[int]] = defaultdict(_zeros)
        self._hour: dict[tuple[int, datetime, int], list[int]] = defaultdict(_zeros)
        self._domain: dict[tuple[int, int, int], list[int]] = defaultdict(_zeros)
        self._link: dict[tuple[int, int, int], list[int]] = defaultdict(_zeros)

    def add_event(self, row: Row, type_: int, at: datetime, link_no: int | None) -> None:
        """Count a new event."""
        self._add(row, type_, at, 0, 1)
        if link_no is not None and type_ == _CLICKED:
            self._link[row.mailout_id, row.email_no, link_no][0] += 1

    def move_message(self, row: Row) -> None:
        """Count a message by the difference between what it was and what it is."""
        facts, was = row.facts, row.was
        for index, type_, column in _MOVES:
            if facts[index] is not was[index]:
                self._move(row, type_, column, was[index], facts[index])
        if facts[BOUNCED] is not was[BOUNCED]:
            self._move(row, _BOUNCED, 1, was[BOUNCED], facts[BOUNCED])
        before = was[DELIVERED] if was[BOUNCED] is None else None
        after = facts[DELIVERED] if facts[BOUNCED] is None else None
        if before is not after:
            self._move(row, _DELIVERED, 1, before, after)
        for type_, at in row.first.items():
            known = row.first_was.get(type_)
            if known is None or at < known:
                self._move(row, type_, 1, known, at)

    def move_links(self, row: Row, before: list[Act], after: list[Act]) -> None:
        """Count a message per link that it clicked."""
        for acts, step in ((before, -1), (after, 1)):
            clicks = [act for act in acts if act.type == _CLICKED and act.link_no is not None]
            humans = [act for act in clicks if act.verdict == _HUMAN]
            for column, some in ((1, clicks), (2, humans)):
                for link_no in {act.link_no for act in some}:
                    self._link[row.mailout_id, row.email_no, link_no or 0][column] += step

    def _move(self, row: Row, type_: int, column: int, before: datetime | None, after: datetime | None) -> None:
        if before is not None:
            self._add(row, type_, before, column, -1)
        if after is not None:
            self._add(row, type_, after, column, 1)

    def _add(self, row: Row, type_: int, at: datetime, column: int, step: int) -> None:
        self._email[row.mailout_id, row.email_no, type_][column] += step
        self._hour[row.mailout_id, _hour(at), type_][column] += step
        self._domain[row.mailout_id, row.domain_id, type_][column] += step

    def write(self, cursor: Cursor) -> None:
        """Write the differences, each table in the order of its key."""
        _write(cursor, "delivery_stat_email", ("email_no", "smallint"), "type", self._email)
        _write(cursor, "delivery_stat_hour", ("hour", "timestamptz"), "type", self._hour)
        _write(cursor, "delivery_stat_domain", ("domain_id", "bigint"), "type", self._domain)
        _write(cursor, "delivery_stat_link", ("email_no", "smallint"), "link_no", self._link)


def _write(cursor: Cursor, table: str, dimension: tuple[str, str], last: str, changes: dict[Any, list[int]]) -> None:
    rows = sorted((*key, *steps) for key, steps in changes.items() if any(steps))
    if not rows:
        return
    name, kind = dimension
    cursor.execute(
        f"""
        INSERT INTO {table} AS s (mailout_id, {name}, {last}, total, uniq, uniq_human)
        SELECT * FROM unnest(%b::int[], %b::{kind}[], %b::smallint[], %b::int[], %b::int[], %b::int[])
            ON CONFLICT (mailout_id, {name}, {last}) DO UPDATE
           SET total = s.total + EXCLUDED.total, uniq = s.uniq + EXCLUDED.uniq,
               uniq_human = s.uniq_human + EXCLUDED.uniq_human
        """,
        columns(rows, 6),
    )
