"""The inbox: raw messages, verified, stored once, processed later."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import LiteralString

import psycopg
from django.db import InterfaceError, OperationalError, connection

from delivery.models import EventType
from delivery.services.events.readers import write_act

# One statement, one transaction: a repeated delivery finds its digest and stores nothing.
_STORE = """
WITH seen AS (
    INSERT INTO delivery_inbox_seen (published_at, digest) VALUES (%s, %b) ON CONFLICT DO NOTHING RETURNING 1
)
INSERT INTO delivery_inbox (source, body) SELECT %s, %b FROM seen
"""


def store_provider_message(*, source: str, unique_id: str, published_at: datetime, body: bytes) -> bool:
    """Store a verified message of a provider; False when it was here before.

    unique_id: the provider's id of the message, the same whenever it is delivered again.
    """
    digest = sha256(unique_id.encode()).digest()[:16]
    return _insert(_STORE, [published_at, digest, source, body]) == 1


def store_reader_act(
    *, type_: EventType, mailout_id: int, n: int, at: datetime, ip: str, user_agent: str, link_no: int | None = None
) -> None:
    """Store what a reader did. `ip` is truncated already."""
    body = write_act(type_=type_, mailout_id=mailout_id, n=n, at=at, ip=ip, user_agent=user_agent, link_no=link_no)
    _insert("INSERT INTO delivery_inbox (source, body) VALUES ('reader', %b)", [body])


def _insert(query: LiteralString, params: list[object]) -> int:
    """Insert with a binary body and without Django's question whether the connection still lives, which would double
    the round trips: one that turns out dead is opened again, once. Raises Django's database errors."""
    try:
        return _run(query, params)
    except (OperationalError, InterfaceError):
        if connection.in_atomic_block:
            raise
        connection.close()
        return _run(query, params)


def _run(query: LiteralString, params: list[object]) -> int:
    with connection.wrap_database_errors:
        connection.ensure_connection()
        return psycopg.Cursor(connection.connection).execute(query, params).rowcount
