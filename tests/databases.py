"""Emptying the test database after a test that commits."""

from __future__ import annotations

from urllib.parse import quote

from django.db import connection, transaction
from django.db.models import Model

# Made by migrations and the same for every test.
KEPT = {"django_migrations", "django_content_type", "auth_permission"}
SMALL_BYTES = 256 * 1024


def database_url() -> str:
    """Where the test's database is, with its password: for processes beside the test."""
    database = connection.settings_dict
    user = quote(database["USER"]) + (f":{quote(database['PASSWORD'])}" if database["PASSWORD"] else "")
    return f"postgresql://{user}@{database['HOST'] or '127.0.0.1'}:{database['PORT'] or 5432}/{database['NAME']}"


def clear_tables() -> None:
    """Delete every row that a test has committed.

    Django's flush makes new files for all tables and their indexes: one to two seconds a test. Here only tables that
    have grown get new ones, so that dead rows don't pile up; the others just lose their rows. Constraints are deferred,
    so that the order does not matter.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT relname, pg_relation_size(oid) FROM pg_class
             WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND pg_relation_size(oid) > 0
            """
        )
        sizes = {name: size for name, size in cursor.fetchall() if name not in KEPT}
        grown = [f'"{name}"' for name, size in sizes.items() if size > SMALL_BYTES]
        if grown:
            cursor.execute(f"TRUNCATE {', '.join(grown)} CASCADE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        cursor.execute("; ".join(f'DELETE FROM "{name}"' for name in sizes) or "SELECT 1")


def repeat_row(row: Model, source: str, **different: str) -> None:
    """Insert a copy of a row for each row of ``source``, what follows FROM; ``different`` has columns as SQL.

    In PostgreSQL alone: thousands of people take Django a quarter of a millisecond each.
    """
    table = f'"{row._meta.db_table}"'
    columns = [str(field.column) for field in row._meta.concrete_fields if not field.primary_key]
    values = ", ".join(different.get(column, f'pattern."{column}"') for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table} pattern CROSS JOIN {source}"
            " WHERE pattern.id = %s ORDER BY each",
            [row.pk],
        )


def set_for_tests() -> None:
    """Let commits in the test database not wait for the disk, whatever the server is set to; processes get it, too."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"ALTER DATABASE {connection.ops.quote_name(connection.settings_dict['NAME'])} SET synchronous_commit = off"
        )
    connection.close()  # it holds for connections that begin afterwards
