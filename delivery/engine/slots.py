"""Slots: how many engine loops run at once, over all machines."""

from __future__ import annotations

from uuid import UUID

from delivery.engine.database import Connection

SLOT_LEASE_SECONDS = 60


def lease_slot(connection: Connection, owner: UUID, *, slots: int) -> int | None:
    """Lease one of `slots` places, or None: then there are enough loops already."""
    connection.execute(
        "INSERT INTO delivery_engine_slot (n) SELECT generate_series(1, %(slots)s) ON CONFLICT DO NOTHING",
        {"slots": slots},
    )
    row = connection.execute(
        """
        UPDATE delivery_engine_slot SET owner = %(owner)s, lease_until = clock_timestamp() + %(lease)s * interval '1 s'
         WHERE n = (SELECT n FROM delivery_engine_slot
                     WHERE n <= %(slots)s AND (lease_until IS NULL OR lease_until < clock_timestamp())
                     ORDER BY n LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING n
        """,
        {"owner": owner, "lease": SLOT_LEASE_SECONDS, "slots": slots},
    ).fetchone()
    return row[0] if row else None


def free_slot(connection: Connection, owner: UUID) -> None:
    connection.execute("UPDATE delivery_engine_slot SET owner = NULL, lease_until = NULL WHERE owner = %s", [owner])


def free_slots(connection: Connection, *, slots: int) -> int:
    """How many places are not leased."""
    row = connection.execute(
        "SELECT count(*) FROM delivery_engine_slot WHERE n <= %s AND lease_until > clock_timestamp()", [slots]
    ).fetchone()
    return slots - (row[0] if row else 0)
