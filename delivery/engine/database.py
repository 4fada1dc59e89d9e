"""The engine's own database connection.

Raw psycopg beside Django's: tuples instead of objects, no client-side binding, and a life of its own in each worker
process. It assumes no prepared statements, no session settings and no session locks, so that PgBouncer's transaction
mode may stand between. HTTP threads never touch it.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

import orjson
import psycopg
from django.db import connection as django_connection
from django.db import connections
from psycopg.types.json import set_json_dumps, set_json_loads

from delivery.services.partitions import message_table

__all__ = ["Connection", "database_now", "message_table", "open_connection"]

Connection = psycopg.Connection[tuple[Any, ...]]


def _dumps(value: object) -> bytes:
    return orjson.dumps(value)


def open_connection() -> Connection:
    """Open a connection with the settings of Django's default database, in autocommit."""
    params = dict(connections["default"].get_connection_params())
    for key in (
        "cursor_factory",
        "context",
        "pool",
        "prepare_threshold",
        "server_side_binding",
        "assume_role",
        "isolation_level",
    ):
        params.pop(key, None)
    connection: Connection = psycopg.connect(
        **params, autocommit=True, prepare_threshold=None, application_name=f"engine:{os.getpid()}"
    )
    set_json_loads(orjson.loads, connection)
    set_json_dumps(_dumps, connection)
    return connection


def database_now() -> datetime:
    """The database's clock, by which every lease, due time and pace is judged."""
    with django_connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now
