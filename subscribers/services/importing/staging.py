"""The staging table of one import: unlogged, seen by every connection, dropped at the end.

It is a table of its own rather than a temporary one, so that several connections merge from it, PgBouncer may pool them,
and a worker that takes over finds what the dead one had read. A crash of the server empties it; then the file is read
once more.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection, transaction
from psycopg import sql

from subscribers.services.importing.rows import COPY_COLUMNS

CHUNK_ROWS = 10_000
_SAMPLED_PER_CHUNK = 100


def table_of(import_id: int) -> sql.Identifier:
    """Return the name of the staging table."""
    return sql.Identifier(f"subscribers_import_staging_{import_id}")


@transaction.atomic
def create(import_id: int) -> None:
    """Create the table anew. Keys sort by bytes: fastest, and the same on every server."""
    drop(import_id)
    statement = sql.SQL(
        "CREATE UNLOGGED TABLE {table} ("
        ' line integer, key text COLLATE "C", email text, domain text, first_name text, last_name text,'
        " locale text, time_zone text, attributes jsonb, tags varchar(60)[]"
        ") WITH (autovacuum_enabled = off)"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement.format(table=table_of(import_id)))


def drop(import_id: int) -> None:
    """Drop the table if it is there."""
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("DROP TABLE IF EXISTS {table}").format(table=table_of(import_id)))


def copy_rows(import_id: int, pieces: Iterable[str]) -> None:
    """Send lines of COPY's text format. The server parses a piece while the next one is built."""
    statement = sql.SQL("COPY {table} ({columns}) FROM STDIN").format(
        table=table_of(import_id), columns=sql.SQL(", ").join(map(sql.Identifier, COPY_COLUMNS))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for piece in pieces:
            copy.write(piece.encode())


def is_filled(import_id: int) -> bool:
    """Say whether the table is there and has rows."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [table_of(import_id).as_string(None)])
        if cursor.fetchone() == (None,):
            return False
        cursor.execute(sql.SQL("SELECT EXISTS (SELECT FROM {table})").format(table=table_of(import_id)))
        return bool(cursor.fetchone()[0])


@transaction.atomic
def index(import_id: int) -> None:
    """Order the rows by address, then by their place in the file: the first of several wins."""
    table = table_of(import_id)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL maintenance_work_mem = '128MB'")
        cursor.execute(sql.SQL("CREATE INDEX ON {table} (key, line)").format(table=table))
        cursor.execute(sql.SQL("ANALYZE {table} (key, domain)").format(table=table))


def ensure_domains(import_id: int) -> None:
    """Put all domains of the file into the shared dictionary, in order, so that two imports never deadlock."""
    statement = sql.SQL(
        "INSERT INTO subscribers_domain (name) SELECT DISTINCT domain FROM {table} ORDER BY domain"
        " ON CONFLICT (name) DO NOTHING"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement.format(table=table_of(import_id)))


def ranges(import_id: int, rows: int, chunk_rows: int = CHUNK_ROWS) -> list[tuple[str, str]]:
    """Cut the addresses into ranges (after, up_to] of about `chunk_rows` rows, judged by a sample.

    All rows of one address lie in one range. A sequential sample takes a tenth of a full sort.
    """
    table = table_of(import_id)
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT max(key) FROM {table}").format(table=table))
        (last,) = cursor.fetchone()
        if last is None:
            return []
        bounds: list[str] = []
        if rows > chunk_rows:
            percent = min(100.0, 100 * _SAMPLED_PER_CHUNK / chunk_rows)
            cursor.execute(
                sql.SQL("SELECT key FROM {table} TABLESAMPLE BERNOULLI ({percent}) REPEATABLE (1) ORDER BY key").format(
                    table=table, percent=sql.Literal(percent)
                )
            )
            sample = [key for (key,) in cursor.fetchall()]
            step = max(1, round(chunk_rows * percent / 100))
            bounds = sorted({key for key in sample[step::step] if key < last})
    return list(zip(["", *bounds], [*bounds, last], strict=True))
