"""Pause, resume, stop, change the pace: conditional updates; the loser of a race is told."""

from __future__ import annotations

import math

import structlog
from django.db import connection, transaction
from django.utils.translation import gettext as _

from amazonsender.core.errors import Conflict, InvalidInput
from delivery.models import BRAKES, Mailout, MailoutState, StateReason
from delivery.services.launching import wake_engine
from organizations.models import User

logger = structlog.get_logger(__name__)


def pause_mailout(*, mailout: Mailout, actor: User | None = None) -> None:
    """Stop arming. Calls that are out come back and are settled. Raises Conflict when it is not sending."""
    _move(mailout, [MailoutState.SENDING], MailoutState.PAUSED, StateReason.BY_HAND)
    _log("paused", mailout, actor)


_RESUME = """
UPDATE delivery_mailout m
   SET state = 'sending',
       lifted_brakes = CASE WHEN m.state_reason = ANY(%(brakes)s::varchar[])
                            THEN array_append(m.lifted_brakes, m.state_reason) ELSE m.lifted_brakes END,
       state_reason = CASE WHEN m.state_reason IN ('by_hand', 'sender') AND EXISTS (
           SELECT 1 FROM delivery_message_batch b WHERE b.mailout_id = m.id AND b.state = 3) THEN 'pilot' ELSE '' END
 WHERE m.id = %(mailout)s AND m.state = 'paused'
RETURNING m.state_reason, m.lifted_brakes
"""


def resume_mailout(*, mailout: Mailout, actor: User | None = None) -> None:
    """Go on. Raises Conflict when it is not paused.

    A pilot that was paused by hand, or for its sender, goes on as a pilot: who was held back still waits for its
    bounces. After a brake this is somebody's decision, so that brake holds no more, while the others do, and nobody is
    held back. One statement, because a tick in between would brake again.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_RESUME, {"mailout": mailout.pk, "brakes": [str(brake) for brake in BRAKES]})
        resumed = cursor.fetchone()
        if resumed is None:
            raise _conflict(mailout)
        mailout.state = MailoutState.SENDING
        mailout.state_reason, mailout.lifted_brakes = resumed
        if mailout.state_reason != StateReason.PILOT:
            cursor.execute(
                "UPDATE delivery_message_batch SET state = 0 WHERE mailout_id = %s AND state = 3", [mailout.pk]
            )
    wake_engine()
    _log("resumed", mailout, actor)


def cancel_mailout(*, mailout: Mailout, actor: User | None = None) -> None:
    """Stop for good: nothing more is armed, whoever waits gets nothing. Raises Conflict when it is over already."""
    _move(mailout, [MailoutState.SENDING, MailoutState.PAUSED], MailoutState.CANCELLING, "")
    _log("cancelled", mailout, actor)


def set_pace(*, mailout: Mailout, rate_limit: float | None, actor: User | None = None) -> None:
    """Change the mailout's own pace, people per second; None lifts it. It holds from the next call on.

    Raises InvalidInput for a pace of nobody, Conflict when the mailout is over.
    """
    if rate_limit is not None and not 0 < rate_limit < math.inf:
        raise InvalidInput(_("A pace is more than no people per second."))
    going = Mailout.objects.filter(pk=mailout.pk, state__in=[MailoutState.SENDING, MailoutState.PAUSED])
    # Without the limiter's clock, or a pace of one in an hour would be waited out first.
    if not going.update(rate_limit=rate_limit, pace_tat=None):
        raise _conflict(mailout)
    mailout.rate_limit = rate_limit
    wake_engine()
    _log("paced", mailout, actor)


def _move(mailout: Mailout, expected: list[MailoutState], to: MailoutState, reason: str) -> None:
    moved = Mailout.objects.filter(pk=mailout.pk, state__in=expected).update(state=to, state_reason=reason)
    if not moved:
        raise _conflict(mailout)
    mailout.state, mailout.state_reason = to, reason


def _conflict(mailout: Mailout) -> Conflict:
    mailout.refresh_from_db(fields=["state", "state_reason"])
    return Conflict(_("It is already “%(state)s”.") % {"state": mailout.get_state_display()})


def _log(act: str, mailout: Mailout, actor: User | None) -> None:
    logger.info("delivery.controlled", act=act, mailout=mailout.pk, actor=actor.pk if actor else None)
