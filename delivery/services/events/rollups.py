"""The roll-ups: moved by exactly what changed, so that a report never counts rows.

`total` counts events. `uniq` and `uniq_human` count messages; a message stands in the hour of its fact, so a fact that
moves to an earlier time moves the message between hours. A message that bounced after all is no longer delivered.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from delivery.models import EventType, Verdict
from delivery.services.events.arrays import EPOCH, columns
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
)

# Plain numbers, since looking up an enum's value costs more than the addition that follows.
_DELIVERED, _BOUNCED, _CLICKED = EventType.DELIVERED.value, EventType.BOUNCED.value, EventType.CLICKED.value
_HUMAN = Verdict.HUMAN.value
_LETTERS = {"smallint": "h", "bigint": "q", "timestamptz": "t"}
# Fact, type, and the column it moves: 1 counts messages, 2 those of people.
_MOVES = (
    (COMPLAINED, EventType.COMPLAINED.value, 1),
    (UNSUBSCRIBED, EventType.UNSUBSCRIBED.value, 1),
    (OPENED, EventType.OPENED.value, 1),
    (CLICKED, EventType.CLICKED.value, 1),
    (OPENED_HUMAN, EventType.OPENED.value, 2),
    (CLICKED_HUMAN, EventType.CLICKED.value, 2),
)


_HOUR = timedelta(hours=1)


def _zeros() -> list[int]:
    return [0, 0, 0]


class Rollups:
    """What one batch of events changes in the four tables."""

    def __init__(self) -> None:
        # By mailout, email, domain, type and hour; split into the tables at the end.
        self._counts: dict[tuple[int, int, int, int, int], list[int]] = {}
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
        if row.first is not None:
            for type_, at in row.first.items():
                known = row.first_was.get(type_) if row.first_was else None
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
        key = (row.mailout_id, row.email_no, row.domain_id, type_, (at - EPOCH) // _HOUR)
        counts = self._counts.get(key)
        if counts is None:
            counts = self._counts[key] = [0, 0, 0]
        counts[column] += step

    def write(self, cursor: Cursor) -> None:
        """Write the differences, each table in the order of its key."""
        email: dict[tuple[int, int, int], list[int]] = defaultdict(_zeros)
        hour: dict[tuple[int, datetime, int], list[int]] = defaultdict(_zeros)
        domain: dict[tuple[int, int, int], list[int]] = defaultdict(_zeros)
        for (mailout_id, email_no, domain_id, type_, hours), steps in self._counts.items():
            at = EPOCH + hours * _HOUR
            for sums in (
                email[mailout_id, email_no, type_],
                hour[mailout_id, at, type_],
                domain[mailout_id, domain_id, type_],
            ):
                for column in range(3):
                    sums[column] += steps[column]
        _write(cursor, "delivery_stat_email", ("email_no", "smallint"), "type", email)
        _write(cursor, "delivery_stat_hour", ("hour", "timestamptz"), "type", hour)
        _write(cursor, "delivery_stat_domain", ("domain_id", "bigint"), "type", domain)
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
        columns(f"i{_LETTERS[kind]}hiii", rows),
    )
