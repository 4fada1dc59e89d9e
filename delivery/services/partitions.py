"""Partitions of the ledger, one per month, made ahead of time."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from django.db import IntegrityError, OperationalError, connection, transaction
from psycopg import errors

EPOCH_YEAR = 2020
# A message grows from 88 to 156 bytes when it is sent. With room for both in its page the update touches no index,
# and the dead half takes up what events write later: a third less work for PostgreSQL, and no larger a table.
MESSAGE_FILLFACTOR = 35
MAILOUTS_PER_MONTH = 1_000_000
# Making a partition locks the parent and then its default one, which a reader may hold who waits for the parent. So the
# maker is the one who gives way, sooner than PostgreSQL looks for deadlocks (1 s) and might end the reader's transaction.
LOCK_MILLISECONDS = 300
LOCK_ATTEMPTS = 20
LOCK_PAUSE_SECONDS = 0.1
# By time, with a default partition that takes what comes before its month's partition is there.
TIMED = {"delivery_event": "at", "delivery_inbox_seen": "published_at"}


def month_number(at: datetime) -> int:
    """Months since January 2020: the upper digits of a mailout's id."""
    return (at.year - EPOCH_YEAR) * 12 + at.month - 1


def month_start(number: int) -> datetime:
    return datetime(EPOCH_YEAR + number // 12, number % 12 + 1, 1, tzinfo=UTC)


def message_table(mailout_id: int) -> str:
    """Name of the partition that holds a mailout's messages: naming the leaf spares planning over all months."""
    return f"delivery_message_{month_start(mailout_id // MAILOUTS_PER_MONTH):%Y_%m}"


def ensure_partitions(*, at: datetime, months_ahead: int = 2) -> list[str]:
    """Make the missing partitions of the month of `at` and of the following ones. Returns the names made.

    Looks in the catalogue first, because making a partition locks its parent for a moment.
    """
    made = []
    first = month_number(at)
    for number in range(first, first + months_ahead + 1):
        start, end = month_start(number), month_start(number + 1)
        label = f"{start:%Y_%m}"
        lo, hi = number * MAILOUTS_PER_MONTH, (number + 1) * MAILOUTS_PER_MONTH
        made += _ensure(
            f"delivery_message_{label}",
            "delivery_message",
            str(lo),
            str(hi),
            column="mailout_id",
            fillfactor=MESSAGE_FILLFACTOR,
        )
        for parent, column in TIMED.items():
            made += _ensure(f"{parent}_{label}", parent, f"'{start:%F}'", f"'{end:%F}'", column=column)
    return made


def _ensure(name: str, parent: str, lo: str, hi: str, *, column: str, fillfactor: int = 100) -> list[str]:
    """Make the partition of `column` from `lo` to `hi`."""
    try:
        return _make_patiently(name, parent, lo, hi, strays="", fillfactor=fillfactor)
    except IntegrityError:  # rows of it lie in the default partition already, since nobody had made it in time
        strays = f"{column} >= {lo} AND {column} < {hi}"
        return _make_patiently(name, parent, lo, hi, strays=strays, fillfactor=fillfactor)


def _make_patiently(name: str, parent: str, lo: str, hi: str, *, strays: str, fillfactor: int) -> list[str]:
    for _ in range(LOCK_ATTEMPTS - 1):
        try:
            return _make(name, parent, lo, hi, strays=strays, fillfactor=fillfactor)
        except OperationalError as error:
            if not isinstance(error.__cause__, errors.LockNotAvailable | errors.DeadlockDetected):
                raise
        time.sleep(LOCK_PAUSE_SECONDS)
    return _make(name, parent, lo, hi, strays=strays, fillfactor=fillfactor)


def _make(name: str, parent: str, lo: str, hi: str, *, strays: str, fillfactor: int) -> list[str]:
    # Every part of these statements comes from this module; identifiers can't be parameters.
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [name])
        if cursor.fetchone()[0]:
            return []
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('delivery_partitions'))")
        # Not to_regclass again: it would repeat its answer from the session's cache, which waiting did not refresh.
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM pg_class WHERE relname = %s AND relnamespace = current_schema()::regnamespace)",
            [name],
        )
        if cursor.fetchone()[0]:
            return []
        cursor.execute(f"SET LOCAL timezone = 'UTC'; SET LOCAL lock_timeout = {LOCK_MILLISECONDS}")
        if strays:
            cursor.execute(f"LOCK TABLE {parent}, {parent}_default IN ACCESS EXCLUSIVE MODE")
            cursor.execute(f"CREATE TEMPORARY TABLE strays AS SELECT * FROM {parent}_default WHERE {strays}")
            cursor.execute(f"DELETE FROM {parent}_default WHERE {strays}")
        cursor.execute(
            f"CREATE TABLE {name} PARTITION OF {parent} FOR VALUES FROM ({lo}) TO ({hi}) "
            f"WITH (fillfactor = {fillfactor}, autovacuum_vacuum_scale_factor = 0.05)"
        )
        if strays:
            cursor.execute(f"INSERT INTO {parent} SELECT * FROM strays")
            cursor.execute("DROP TABLE strays")
    return [name]
