"""Home: a restored backup, a copy or a failed-over standby must not send by itself.

The cluster's system identifier and timeline, the object ids of the database and of a table in it, and the public address
are written down when the engine first runs. When one of them differs, every account parks until `manage.py confirm_home`:
yesterday's backup would mail everybody again. Object ids tell of copies within the cluster: a new database has a new id,
and what `pg_restore` creates has new ids whatever it is restored into. A restored file system has them all, so a heartbeat
counts on, and the cache is the witness of how far it had come.
"""

from __future__ import annotations

import structlog
from django.conf import settings

from delivery.engine import witness
from delivery.engine.database import Connection
from delivery.models import ParkReason

logger = structlog.get_logger(__name__)

_HERE = """
SELECT (pg_control_system()).system_identifier, (pg_control_checkpoint()).timeline_id,
       (SELECT oid::bigint FROM pg_database WHERE datname = current_database()), 'delivery_engine_home'::regclass::oid::bigint
"""


def check_home(connection: Connection) -> str:
    """ "" when the database is at home; else what differs. Parks every account while it is away."""
    here = connection.execute(_HERE).fetchone()
    if here is None:
        raise RuntimeError("the database does not tell its system identifier")
    identifier, timeline, database_oid, table_oid = here
    seen = witness.last_seen(identifier, database_oid)  # before the heartbeat is read, which may only be ahead of it
    row = connection.execute(
        "SELECT system_identifier, timeline, public_url, database_oid, table_oid, heartbeat FROM delivery_engine_home WHERE id = 1"
    ).fetchone()
    if row is None:
        confirm_home(connection)
        return ""
    differences = []
    if row[0] != identifier:
        differences.append("the database is a copy or was restored into another cluster")
    elif row[1] != timeline:
        differences.append(f"the database's timeline is {timeline}, not {row[1]}: it was restored or failed over")
    elif (row[3], row[4]) != (database_oid, table_oid):
        differences.append("the database was copied or restored within its cluster")
    elif row[5] < seen:
        differences.append("the database was restored from a snapshot: it has forgotten what was here before")
    if row[2] != settings.PUBLIC_URL:
        differences.append(f"PUBLIC_URL is {settings.PUBLIC_URL}, not {row[2]}")
    detail = "; ".join(differences)
    connection.execute(
        "UPDATE delivery_engine_home SET is_away = %(away)s, detail = %(detail)s WHERE id = 1 AND (is_away, detail) <> (%(away)s, %(detail)s)",
        {"away": bool(detail), "detail": detail},
    )
    if detail:
        parked = connection.execute(
            "UPDATE delivery_account_pace SET parked_reason = %s, parked_until = NULL WHERE parked_reason <> %s",
            [ParkReason.HOME, ParkReason.HOME],
        )
        if parked.rowcount:
            logger.error("delivery.not_at_home", detail=detail, accounts=parked.rowcount)
    else:
        _beat(connection, identifier, database_oid)
    return detail


def _beat(connection: Connection, identifier: int, database_oid: int) -> None:
    row = connection.execute(
        "UPDATE delivery_engine_home SET heartbeat = heartbeat + 1 WHERE id = 1 RETURNING heartbeat"
    ).fetchone()
    if row is not None:
        witness.remember(identifier, database_oid, row[0])


def confirm_home(connection: Connection) -> None:
    """Write down that this is home, and let accounts go that were parked for it."""
    here = connection.execute(_HERE).fetchone() or (0, 0, 0, 0)
    heartbeat = witness.last_seen(here[0], here[2]) + 1
    with connection.transaction():
        connection.execute(
            """
            INSERT INTO delivery_engine_home
                (id, system_identifier, timeline, database_oid, table_oid, public_url, heartbeat, confirmed_at, is_away, detail)
            VALUES (1, %s, %s, %s, %s, %s, %s, clock_timestamp(), false, '')
            ON CONFLICT (id) DO UPDATE SET system_identifier = EXCLUDED.system_identifier, timeline = EXCLUDED.timeline,
                database_oid = EXCLUDED.database_oid, table_oid = EXCLUDED.table_oid, public_url = EXCLUDED.public_url,
                heartbeat = GREATEST(delivery_engine_home.heartbeat, EXCLUDED.heartbeat), confirmed_at = EXCLUDED.confirmed_at, is_away = false, detail = ''
            """,
            [*here, settings.PUBLIC_URL, heartbeat],
        )
        connection.execute(
            "UPDATE delivery_account_pace SET parked_reason = '', parked_until = NULL WHERE parked_reason = %s",
            [ParkReason.HOME],
        )


def unsafe_durability(connection: Connection) -> list[str]:
    """Server settings with which a crash forgets what was sent; refused on real accounts."""
    rows = connection.execute(
        "SELECT name FROM pg_settings WHERE (name = 'fsync' AND setting = 'off') OR (name = 'synchronous_commit' AND setting = 'off')"
    ).fetchall()
    return [row[0] for row in rows]
