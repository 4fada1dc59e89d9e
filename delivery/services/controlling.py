"""Pause, resume, stop: conditional updates; the loser of a race is told."""

from __future__ import annotations

import structlog
from django.db import connection
from django.utils.translation import gettext as _

from amazonsender.core.errors import Conflict
from delivery.models import Mailout, MailoutState, StateReason
from delivery.services.launching import wake_engine
from organizations.models import User

logger = structlog.get_logger(__name__)


def pause_mailout(*, mailout: Mailout, actor: User | None = None) -> None:
    """Stop arming. Calls that are out come back and are settled. Raises Conflict when it is not sending."""
    _move(mailout, [MailoutState.SENDING], MailoutState.PAUSED, StateReason.BY_HAND)
    _log("paused", mailout, actor)


def resume_mailout(*, mailout: Mailout, actor: User | None = None) -> None:
    """Go on. After a brake this is somebody's decision, so that brake holds no more. Raises Conflict when not paused."""
    reason = mailout.state_reason
    _move(mailout, [MailoutState.PAUSED], MailoutState.SENDING, "")
    if reason and reason != StateReason.BY_HAND:
        Mailout.objects.filter(pk=mailout.pk).update(is_brake_lifted=True)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE delivery_message_batch SET state = 0 WHERE mailout_id = %s AND state = 3", [mailout.pk])
    wake_engine()
    _log("resumed", mailout, actor)


def cancel_mailout(*, mailout: Mailout, actor: User | None = None) -> None:
    """Stop for good: nothing more is armed, whoever waits gets nothing. Raises Conflict when it is over already."""
    _move(mailout, [MailoutState.SENDING, MailoutState.PAUSED], MailoutState.CANCELLING, "")
    _log("cancelled", mailout, actor)


def set_pace(*, mailout: Mailout, rate_limit: float | None) -> None:
    """Change the mailout's own pace, people per second; None lifts it."""
    Mailout.objects.filter(pk=mailout.pk).update(rate_limit=rate_limit, pace_tat=None)
    mailout.rate_limit = rate_limit


def _move(mailout: Mailout, expected: list[MailoutState], to: MailoutState, reason: str) -> None:
    moved = Mailout.objects.filter(pk=mailout.pk, state__in=expected).update(state=to, state_reason=reason)
    if not moved:
        mailout.refresh_from_db(fields=["state", "state_reason"])
        raise Conflict(_("It is already “%(state)s”.") % {"state": mailout.get_state_display()})
    mailout.state, mailout.state_reason = to, reason


def _log(act: str, mailout: Mailout, actor: User | None) -> None:
    logger.info("delivery.controlled", act=act, mailout=mailout.pk, actor=actor.pk if actor else None)
