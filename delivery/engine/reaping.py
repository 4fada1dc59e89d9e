"""The reaper: a batch whose lease ran out. Its armed calls are lost, their people unknown, and the batch goes on."""

from __future__ import annotations

import structlog

from delivery.engine.database import Connection, message_table
from delivery.models import MessageState

logger = structlog.get_logger(__name__)

_EXPIRED = """
SELECT b.id, b.mailout_id FROM delivery_message_batch b
 WHERE b.state = 1 AND b.lease_until < clock_timestamp() ORDER BY b.lease_until LIMIT %s
"""

# Locks: calls, then messages by n, then the batch. The batch's claim moves on, so that its old worker can neither
# arm nor move it; what that worker still has in flight settles late.
_LOST_CALLS = """
UPDATE delivery_send_call SET state = 2
 WHERE batch_id = %(batch)s AND state = 0
   AND EXISTS (SELECT 1 FROM delivery_message_batch b WHERE b.id = %(batch)s AND b.state = 1 AND b.lease_until < clock_timestamp())
RETURNING lo, hi
"""

# An event may have come already: its provider id proves that the message went out.
_UNKNOWN = """
UPDATE {table} m
   SET state = CASE WHEN m.provider_id IS NULL THEN 4 ELSE 1 END, email_no = b.email_no,
       error = CASE WHEN m.provider_id IS NULL THEN 'no answer: the worker was lost while the call was out' END
  FROM delivery_message_batch b, unnest(%(lo)s::int[], %(hi)s::int[]) AS c(lo, hi)
 WHERE b.id = %(batch)s AND m.mailout_id = b.mailout_id AND m.state = 0 AND m.attempt = b.attempt
   AND ((b.members IS NULL AND m.n >= c.lo AND m.n < c.hi) OR m.n = ANY(b.members[c.lo + 1 : c.hi]))
RETURNING m.state
"""

_FREE = """
UPDATE delivery_message_batch
   SET state = CASE WHEN armed_to = hi THEN 2 ELSE 0 END, claim = claim + 1, lease_until = NULL, open_calls = 0,
       unknown = unknown + %(unknown)s, sent = sent + %(sent)s
 WHERE id = %(batch)s AND state = 1 AND lease_until < clock_timestamp()
"""


class LeaseRenewed(Exception):
    """The batch came back to life while it was being reaped."""


def reap(connection: Connection, *, limit: int = 100) -> int:
    """Free expired batches, each in a transaction of its own. Returns how many people became unknown."""
    total = 0
    for batch_id, mailout_id in connection.execute(_EXPIRED, [limit]).fetchall():
        try:
            with connection.transaction():
                total += _reap_batch(connection, batch_id, mailout_id)
        except LeaseRenewed:
            logger.info("delivery.lease_renewed", batch=batch_id)
    return total


def _reap_batch(connection: Connection, batch_id: int, mailout_id: int) -> int:
    lost = connection.execute(_LOST_CALLS, {"batch": batch_id}).fetchall()
    states: list[int] = []
    if lost:
        params = {"batch": batch_id, "lo": [row[0] for row in lost], "hi": [row[1] for row in lost]}
        rows = connection.execute(_UNKNOWN.format(table=message_table(mailout_id)), params).fetchall()
        states = [row[0] for row in rows]
    unknown = states.count(MessageState.UNKNOWN)
    counts = {"batch": batch_id, "unknown": unknown, "sent": len(states) - unknown}
    if connection.execute(_FREE, counts).rowcount != 1:
        raise LeaseRenewed  # by its worker, at the last moment, or freed by another reaper: undo
    logger.warning("delivery.lease_expired", batch=batch_id, mailout=mailout_id, lost_calls=len(lost), unknown=unknown)
    return unknown
