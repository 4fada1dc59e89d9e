"""Brakes and the pilot: a mailout that does harm stops by itself and says why.

Amazon reviews an account at 5 % hard bounces and 0.1 % complaints and may pause it at 10 % and 0.5 %; Gmail refuses
senders above 0.3 % complaints. A million emails leave in half a minute, so an audience with many people never mailed
before starts with a pilot and waits for its bounces.
"""

from __future__ import annotations

import structlog

from delivery.engine.database import Connection
from delivery.models import EventType, StateReason

logger = structlog.get_logger(__name__)

BOUNCE_SHARE = 0.05
COMPLAINT_SHARE = 0.003
FAILED_SHARE = 0.2
SMALLEST_SAMPLE = 200  # below it a rate says nothing
FEWEST_COMPLAINTS = 3

_RATES = """
SELECT m.id, b.sent, b.failed,
       COALESCE((SELECT sum(uniq) FROM delivery_stat_email s WHERE s.mailout_id = m.id AND s.type = %(bounced)s), 0),
       COALESCE((SELECT sum(uniq) FROM delivery_stat_email s WHERE s.mailout_id = m.id AND s.type = %(complained)s), 0)
  FROM delivery_mailout m
  JOIN LATERAL (SELECT COALESCE(sum(sent), 0) AS sent, COALESCE(sum(failed), 0) AS failed
                  FROM delivery_message_batch WHERE mailout_id = m.id) b ON true
 WHERE m.state = 'sending' AND m.finished_at IS NULL AND m.kind <> 'test' AND NOT m.is_dry_run AND NOT m.is_brake_lifted
"""

_PILOT_DONE = """
UPDATE delivery_mailout m SET pilot_until = clock_timestamp() + a.pilot_wait_seconds * interval '1 s'
  FROM delivery_sendingaccount a
 WHERE a.id = m.account_id AND m.state = 'sending' AND m.state_reason = 'pilot' AND m.pilot_until IS NULL
   AND NOT EXISTS (SELECT 1 FROM delivery_message_batch b WHERE b.mailout_id = m.id AND b.state IN (0, 1))
   AND NOT EXISTS (SELECT 1 FROM delivery_send_call c WHERE c.mailout_id = m.id AND c.state = 0)
"""

_PILOT_OVER = """
WITH over AS (
    UPDATE delivery_mailout SET state_reason = '', pilot_until = NULL
     WHERE state = 'sending' AND state_reason = 'pilot' AND pilot_until <= clock_timestamp() RETURNING id
)
UPDATE delivery_message_batch b SET state = 0 FROM over WHERE b.mailout_id = over.id AND b.state = 3
"""


def apply_brakes(connection: Connection) -> list[int]:
    """Pause mailouts whose rates are over the line. Returns their ids."""
    rows = connection.execute(_RATES, {"bounced": EventType.BOUNCED, "complained": EventType.COMPLAINED}).fetchall()
    braked = []
    for mailout_id, sent, failed, bounced, complained in rows:
        reason = None
        if sent >= SMALLEST_SAMPLE and bounced >= sent * BOUNCE_SHARE:
            reason = StateReason.BOUNCES
        elif sent >= SMALLEST_SAMPLE and complained >= max(FEWEST_COMPLAINTS, sent * COMPLAINT_SHARE):
            reason = StateReason.COMPLAINTS
        elif sent + failed >= SMALLEST_SAMPLE and failed >= (sent + failed) * FAILED_SHARE:
            reason = StateReason.ERRORS
        if reason is None:
            continue
        done = connection.execute(
            "UPDATE delivery_mailout SET state = 'paused', state_reason = %s WHERE id = %s AND state = 'sending'",
            [reason, mailout_id],
        )
        if done.rowcount:
            braked.append(mailout_id)
            logger.warning(
                "delivery.braked",
                mailout=mailout_id,
                reason=str(reason),
                sent=sent,
                bounced=bounced,
                complained=complained,
            )
    return braked


def move_pilots(connection: Connection) -> None:
    """Start the wait of pilots that are out, and let the rest go where the wait is over and no brake holds."""
    connection.execute(_PILOT_DONE)
    connection.execute(_PILOT_OVER)
