"""Emptying the test database after a test that commits."""

from __future__ import annotations

from django.db import connection, transaction

# Made by migrations and the same for every test.
KEPT = {"django_migrations", "django_content_type", "auth_permission"}
SMALL_BYTES = 256 * 1024


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
