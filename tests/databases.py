"""Emptying the test database after a test that commits."""

from __future__ import annotations

from django.db import connection, transaction

# Made by migrations and the same for every test.
KEPT = {"django_migrations", "django_content_type", "auth_permission"}


def clear_tables() -> None:
    """Delete every row that a test has committed.

    Most tables are empty, and Django's flush makes new files for all of them and their indexes: one to two seconds a
    test. Constraints are deferred, so that the order does not matter.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace"
        )
        tables = sorted({row[0] for row in cursor.fetchall()} - KEPT)
        cursor.execute(" UNION ALL ".join(f"(SELECT '{table}' FROM \"{table}\" LIMIT 1)" for table in tables))
        used = [row[0] for row in cursor.fetchall()]
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        for table in used:
            cursor.execute(f'DELETE FROM "{table}"')
