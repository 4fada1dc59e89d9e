"""Only the tick finishes a mailout. "The last settler finishes" never happens: two last ones each see the other."""

from __future__ import annotations

from typing import Any

import structlog
from psycopg.types.json import Jsonb

from delivery.engine.database import Connection, message_table
from delivery.models import MailoutState, MessageState
from delivery.selectors.accounting import ACCOUNT_SQL, account_of_rows
from delivery.services.events.ledger import Move, move_counters, open_cursor

logger = structlog.get_logger(__name__)

_CANCEL_BATCH = """
WITH batch AS (
    SELECT id, mailout_id, armed_to, hi, members, attempt FROM delivery_message_batch
     WHERE mailout_id = %(mailout)s AND state IN (0, 3) LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
), moved AS (
    UPDATE {table} m SET state = 6 FROM batch b
     WHERE m.mailout_id = %(mailout)s AND m.state IN (0, 7) AND m.attempt = b.attempt AND m.provider_id IS NULL
       AND ((b.members IS NULL AND m.n >= b.armed_to AND m.n < b.hi) OR m.n = ANY(b.members[b.armed_to + 1 : b.hi]))
    RETURNING 1
)
UPDATE delivery_message_batch t SET state = 4, cancelled = t.cancelled + (SELECT count(*) FROM moved) FROM batch WHERE t.id = batch.id
"""

_OPEN = """
SELECT (SELECT count(*) FROM delivery_message_batch WHERE mailout_id = %(mailout)s AND state IN (0, 1, 3)),
       (SELECT count(*) FROM delivery_send_call WHERE mailout_id = %(mailout)s AND state = 0)
"""

_STRAYS = """
WITH strays AS (
    SELECT n, attempt, email_no FROM {table} WHERE mailout_id = %(mailout)s AND state IN (0, 7) LIMIT 10000
)
INSERT INTO delivery_message_batch
    (mailout_id, account_id, organization_id, lane, email_no, lo, hi, members, attempt, call_size, armed_to, due_at)
SELECT m.id, COALESCE(m.account_id, 0), m.organization_id, m.lane, s.email_no, 0, count(*), array_agg(s.n ORDER BY s.n), s.attempt, 0, 0,
       clock_timestamp()
  FROM strays s JOIN delivery_mailout m ON m.id = %(mailout)s GROUP BY m.id, s.attempt, s.email_no
"""


def count_account(connection: Connection, mailout_id: int) -> dict[str, Any]:
    """The exact account of a mailout, from every row."""
    return account_of_rows(connection.execute(ACCOUNT_SQL, [mailout_id]).fetchall())


def cancel_waiting(connection: Connection, mailout_id: int) -> int:
    """Cancel what is not armed, batch by batch. Returns how many batches were cancelled."""
    cancelled = 0
    sql = _CANCEL_BATCH.format(table=message_table(mailout_id))
    while connection.execute(sql, {"mailout": mailout_id}).rowcount == 1:
        cancelled += 1
    return cancelled


def finish_mailouts(connection: Connection) -> list[int]:
    """Finish what has nothing open any more; count again what events have moved since. Returns the finished ids."""
    rows = connection.execute(
        "SELECT id, state FROM delivery_mailout WHERE finished_at IS NULL AND state IN ('sending', 'cancelling') ORDER BY id"
    ).fetchall()
    finished = []
    for mailout_id, state in rows:
        if state == MailoutState.CANCELLING:
            cancel_waiting(connection, mailout_id)
        open_batches, armed_calls = connection.execute(_OPEN, {"mailout": mailout_id}).fetchone() or (1, 1)
        if not open_batches and not armed_calls and _finish(connection, mailout_id, state):
            finished.append(mailout_id)
    _recount_stale(connection)
    return finished


def _finish(connection: Connection, mailout_id: int, state: str) -> bool:
    """Under a lock on the mailout, because two ticks that pack the same strays would mail them twice."""
    table = message_table(mailout_id)
    with connection.transaction():
        locked = connection.execute(
            "SELECT 1 FROM delivery_mailout WHERE id = %s AND state = %s AND finished_at IS NULL FOR NO KEY UPDATE SKIP LOCKED",
            [mailout_id, state],
        ).fetchone()
        if locked is None or connection.execute(_OPEN, {"mailout": mailout_id}).fetchone() != (0, 0):
            return False
        # An event proved them sent while nobody could settle them any more.
        proven = connection.execute(
            f"UPDATE {table} SET state = 1 WHERE mailout_id = %s AND state IN (0, 7) AND provider_id IS NOT NULL RETURNING n, attempt",
            [mailout_id],
        ).fetchall()
        if proven:
            was, now = MessageState.QUEUED.value, MessageState.SENT.value
            move_counters(open_cursor(connection), [Move(mailout_id, n, attempt, was, now) for n, attempt in proven])
        strays = connection.execute(
            f"SELECT EXISTS (SELECT 1 FROM {table} WHERE mailout_id = %s AND state IN (0, 7))", [mailout_id]
        ).fetchone()
        if strays != (False,):
            connection.execute(_STRAYS.format(table=table), {"mailout": mailout_id})
            logger.error("delivery.strays_packed_again", mailout=mailout_id)
            return False
        account = count_account(connection, mailout_id)
        end = MailoutState.CANCELLED if state == MailoutState.CANCELLING else MailoutState.FINISHED
        connection.execute(
            """
            UPDATE delivery_mailout
               SET state = %s, state_reason = '', finished_at = clock_timestamp(), final_account = %s, is_account_stale = false
             WHERE id = %s
            """,
            [end, Jsonb(account), mailout_id],
        )
    logger.info("delivery.mailout_finished", mailout=mailout_id, state=str(end), **account["states"])
    return True


def _recount_stale(connection: Connection) -> None:
    """Under a lock on the mailout: whoever moves its messages, or sends again, comes wholly before the count or after it."""
    for (mailout_id,) in connection.execute(
        "SELECT id FROM delivery_mailout WHERE is_account_stale AND finished_at IS NOT NULL ORDER BY id"
    ).fetchall():
        with connection.transaction():
            locked = connection.execute(
                """
                SELECT 1 FROM delivery_mailout WHERE id = %s AND is_account_stale AND finished_at IS NOT NULL
                   FOR NO KEY UPDATE SKIP LOCKED
                """,
                [mailout_id],
            ).fetchone()
            if locked is not None:
                connection.execute(
                    "UPDATE delivery_mailout SET final_account = %s, is_account_stale = false WHERE id = %s",
                    [Jsonb(count_account(connection, mailout_id)), mailout_id],
                )
