"""The inbox: raw messages, verified, stored once, processed later."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import LiteralString, NamedTuple

import psycopg
from django.db import InterfaceError, OperationalError, connection

from delivery.models import EventType
from delivery.services.events.arrays import columns, register
from delivery.services.events.readers import write_act

# One statement, one transaction: a repeated delivery finds its digest and stores nothing.
_STORE = """
WITH seen AS (
    INSERT INTO delivery_inbox_seen (published_at, digest) VALUES (%s, %b) ON CONFLICT DO NOTHING RETURNING 1
)
INSERT INTO delivery_inbox (source, body) SELECT %s, %b FROM seen
"""

# The same for many at once. What can't be read goes to the dead ones in the same breath, and is remembered like the rest.
_STORE_MANY = """
WITH given AS (
    SELECT * FROM unnest(%b::timestamptz[], %b::bytea[], %b::text[], %b::bytea[], %b::text[])
                  AS v(published_at, digest, source, body, problem)
), seen AS (
    INSERT INTO delivery_inbox_seen (published_at, digest) SELECT published_at, digest FROM given
        ON CONFLICT DO NOTHING RETURNING published_at, digest
), fresh AS MATERIALIZED (
    SELECT g.source, g.body, g.problem FROM given g JOIN seen s USING (published_at, digest)
), dead AS (
    INSERT INTO delivery_inbox_dead (source, body, error, received_at, died_at)
    SELECT source, body, problem, clock_timestamp(), clock_timestamp() FROM fresh WHERE problem IS NOT NULL
)
INSERT INTO delivery_inbox (source, body) SELECT source, body FROM fresh WHERE problem IS NULL
"""


class ProviderMessage(NamedTuple):
    """A message that a provider brought, verified. problem: why it can't be read; such a one is kept for a person.

    unique_id: the same whenever the message is delivered again, together with `published_at`.
    """

    source: str
    unique_id: str
    published_at: datetime
    body: bytes
    problem: str | None = None


def store_provider_messages(messages: Sequence[ProviderMessage]) -> int:
    """Store verified messages in one statement; return how many were new and can be processed.

    Raises Django's database errors; then nothing is stored.
    """
    once = {(message.published_at, _digest(message.unique_id)): message for message in messages}
    # In one order, so that two who bring the same messages wait for each other rather than lock each other out.
    rows = [(at, digest, *_kept(message)) for (at, digest), message in sorted(once.items(), key=lambda item: item[0])]
    return _insert(_STORE_MANY, [*columns("tbsbs", rows)]) if rows else 0


def _kept(message: ProviderMessage) -> tuple[str, bytes, str | None]:
    return message.source, message.body, message.problem


def _digest(unique_id: str) -> bytes:
    return sha256(unique_id.encode("utf-8", "surrogatepass")).digest()[:16]


def store_provider_message(*, source: str, unique_id: str, published_at: datetime, body: bytes) -> bool:
    """Store a verified message of a provider; False when it was here before.

    unique_id: the provider's id of the message, the same whenever it is delivered again.
    """
    return _insert(_STORE, [published_at, _digest(unique_id), source, body]) == 1


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
        cursor = psycopg.Cursor(connection.connection)
        if query is _STORE_MANY:  # the only one with packed columns
            register(cursor)
        return cursor.execute(query, params).rowcount
