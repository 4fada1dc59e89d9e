"""Messages of a mailout and each one's history."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.utils.translation import gettext as _

from amazonsender.core.errors import NotFound
from delivery.models import DeliveryEvent, EventType, ExclusionReason, Mailout, MessageState, Verdict
from organizations.models import Organization

EXPORT_CHUNK = 5000
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

_COLUMNS = """
SELECT m.mailout_id, m.n, m.subscriber_id, COALESCE(a.address, s.email, ''), COALESCE(s.first_name || ' ' || s.last_name, ''),
       m.state, m.reason, m.error, m.provider_id, m.sent_at, m.delivered_at, m.bounced_at, m.complained_at, m.unsubscribed_at,
       m.opened_at, m.opened_human_at, m.clicked_at, m.clicked_human_at, m.attempt
  FROM delivery_message m
  LEFT JOIN subscribers_subscriber s ON s.id = m.subscriber_id
  LEFT JOIN delivery_message_address a ON a.mailout_id = m.mailout_id AND a.n = m.n
"""


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One message as lists show it. address is "" after erasure."""

    mailout_id: int
    n: int
    subscriber_id: int
    address: str
    name: str
    state: MessageState
    reason: ExclusionReason
    error: str
    provider_id: str
    sent_at: datetime | None
    delivered_at: datetime | None
    bounced_at: datetime | None
    complained_at: datetime | None
    unsubscribed_at: datetime | None
    opened_at: datetime | None
    opened_human_at: datetime | None
    clicked_at: datetime | None
    clicked_human_at: datetime | None
    attempt: int


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One event of a message: when, what, and the details that the provider or the reader's program gave."""

    at: datetime
    type: EventType
    verdict: Verdict
    link_no: int | None
    detail: dict[str, Any]


def _row(row: tuple[Any, ...]) -> MessageRow:
    return MessageRow(
        row[0],
        row[1],
        row[2],
        row[3],
        row[4].strip(),
        MessageState(row[5]),
        ExclusionReason(row[6]),
        row[7] or "",
        row[8] or "",
        *row[9:],
    )


def list_messages(
    *, mailout: Mailout, after_n: int = 0, limit: int = 50, state: MessageState | None = None
) -> list[MessageRow]:
    """A page of a mailout's messages by n; the next one starts after the last n."""
    where = "m.mailout_id = %s AND m.n > %s" + (" AND m.state = %s" if state is not None else "")
    params: list[Any] = [mailout.pk, after_n] + ([int(state)] if state is not None else [])
    return _fetch(where, "ORDER BY m.n LIMIT %s", [*params, limit])


def subscriber_messages(*, organization: Organization, subscriber_id: int, limit: int = 50) -> list[MessageRow]:
    """A person's messages, newest mailout first, found by the key that makes them unique per person."""
    return _fetch(
        "m.subscriber_id = %s AND s.organization_id = %s",
        "ORDER BY m.mailout_id DESC LIMIT %s",
        [subscriber_id, organization.pk, limit],
    )


def message_history(*, organization: Organization, mailout_id: int, n: int) -> tuple[MessageRow, list[HistoryEntry]]:
    """One message and its events, oldest first. Raises NotFound, also for another organization's."""
    if not Mailout.objects.for_organization(organization).filter(pk=mailout_id).exists():
        raise NotFound(_("There is no such message."))
    rows = _fetch("m.mailout_id = %s AND m.n = %s", "", [mailout_id, n])
    if not rows:
        raise NotFound(_("There is no such message."))
    events = DeliveryEvent.objects.filter(mailout_id=mailout_id, n=n).order_by("at", "id")
    return rows[0], [
        HistoryEntry(event.at, EventType(event.type), Verdict(event.verdict), event.link_no, event.detail or {})
        for event in events
    ]


def _fetch(where: str, tail: str, params: list[Any]) -> list[MessageRow]:
    with connection.cursor() as cursor:
        cursor.execute(f"{_COLUMNS} WHERE {where} {tail}", params)
        return [_row(row) for row in cursor.fetchall()]


def inert_cell(value: str) -> str:
    """A cell that no spreadsheet runs as a formula."""
    return f"'{value}" if value.startswith(FORMULA_STARTS) else value


def status_words(row: MessageRow) -> str:
    """`sent`, `simulated`, `excluded: unsubscribed`, `unknown: no answer from the provider`: one column that says all."""
    name = row.state.name.lower()
    if row.state == MessageState.UNKNOWN:
        return f"{name}: no answer from the provider"
    return f"{name}: {row.reason.name.lower()}" if row.state == MessageState.EXCLUDED else name


def export_messages(mailout: Mailout) -> Iterator[bytes]:
    """A mailout as CSV in chunks: email, status, error, message id, sent at. Memory stays flat."""
    yield "email,status,error_message,message_id,sent_at\r\n".encode("utf-8-sig")
    after = 0
    while rows := list_messages(mailout=mailout, after_n=after, limit=EXPORT_CHUNK):
        buffer = io.StringIO()
        writer = csv.writer(buffer)
        for row in rows:
            sent_at = row.sent_at.isoformat(timespec="seconds") if row.sent_at else ""
            writer.writerow(
                [inert_cell(row.address), status_words(row), inert_cell(row.error), row.provider_id, sent_at]
            )
        after = rows[-1].n
        yield buffer.getvalue().encode()
