"""Brakes and the pilot: a mailout that does harm stops by itself and says why.

Amazon reviews an account at 5 % hard bounces and 0.1 % complaints and may pause it at 10 % and 0.5 %; Gmail refuses
senders above 0.3 % complaints. A million emails leave in half a minute, so an audience with many people never mailed
before starts with a pilot and waits for its bounces.
"""

from __future__ import annotations

from email.utils import parseaddr

import structlog

from delivery.engine.database import Connection
from delivery.models import BRAKES, EventType, StateReason

logger = structlog.get_logger(__name__)

BOUNCE_SHARE = 0.05
COMPLAINT_SHARE = 0.003
FAILED_SHARE = 0.2
SMALLEST_SAMPLE = 200  # below it a rate says nothing
FEWEST_COMPLAINTS = 3

_RATES = """
SELECT m.id, m.lifted_brakes, b.sent, b.failed,
       COALESCE((SELECT sum(uniq) FROM delivery_stat_email s WHERE s.mailout_id = m.id AND s.type = %(bounced)s), 0),
       COALESCE((SELECT sum(uniq) FROM delivery_stat_email s WHERE s.mailout_id = m.id AND s.type = %(complained)s), 0)
  FROM delivery_mailout m
  JOIN LATERAL (SELECT COALESCE(sum(sent), 0) AS sent, COALESCE(sum(failed), 0) AS failed
                  FROM delivery_message_batch WHERE mailout_id = m.id) b ON true
 WHERE m.state = 'sending' AND m.finished_at IS NULL AND m.kind <> 'test' AND NOT m.is_dry_run
"""

# Not what somebody lifted since the rates were read.
_BRAKE = """
UPDATE delivery_mailout SET state = 'paused', state_reason = %(reason)s
 WHERE id = %(mailout)s AND state = 'sending' AND NOT %(reason)s = ANY(lifted_brakes)
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
    for mailout_id, lifted, sent, failed, bounced, complained in rows:
        is_over = {
            StateReason.BOUNCES: sent >= SMALLEST_SAMPLE and bounced >= sent * BOUNCE_SHARE,
            StateReason.COMPLAINTS: sent >= SMALLEST_SAMPLE
            and complained >= max(FEWEST_COMPLAINTS, sent * COMPLAINT_SHARE),
            StateReason.ERRORS: sent + failed >= SMALLEST_SAMPLE and failed >= (sent + failed) * FAILED_SHARE,
        }
        reason = next((brake for brake in BRAKES if is_over[brake] and brake not in lifted), None)
        if reason is None:
            continue
        done = connection.execute(_BRAKE, {"reason": str(reason), "mailout": mailout_id})
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


_SAME_SENDER = """
SELECT m.id, m.sender FROM delivery_mailout m
 WHERE m.account_id = %(account)s AND (m.state = 'sending' OR m.id = %(mailout)s)
"""

# A test is stopped: nobody comes back to it, and another one is a press away.
_PAUSE_FOR_SENDER = """
UPDATE delivery_mailout SET state = CASE WHEN kind = 'test' THEN 'cancelling' ELSE 'paused' END, state_reason = 'sender'
 WHERE id = ANY(%s) AND state = 'sending'
RETURNING id
"""


def pause_for_sender(connection: Connection, account_id: int, mailout_id: int) -> list[int]:
    """The provider refuses the sender of a mailout: pause all of the account that are sent by the same address.

    Others go on. Returns the ids of those that are sending no more.
    """
    rows = connection.execute(_SAME_SENDER, {"account": account_id, "mailout": mailout_id}).fetchall()
    addresses = {id_: parseaddr(sender)[1].lower() for id_, sender in rows}
    same = [id_ for id_, address in addresses.items() if address == addresses.get(mailout_id)]
    paused = [row[0] for row in connection.execute(_PAUSE_FOR_SENDER, [sorted(same)]).fetchall()]
    if paused:
        logger.warning("delivery.sender_not_verified", account=account_id, mailouts=paused)
    return paused


def move_pilots(connection: Connection) -> None:
    """Start the wait of pilots that are out, and let the rest go where the wait is over and no brake holds."""
    connection.execute(_PILOT_DONE)
    connection.execute(_PILOT_OVER)
