"""Claim a letter, hand it over outside of any transaction, tell the queue the end; the queue's rules are its own."""

from __future__ import annotations

from contextlib import closing
from email.utils import parseaddr
from hashlib import sha256
from time import monotonic
from typing import Any, Final

import structlog
from botocore.config import Config
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend

from amazonsender.core.sealing import SealBrokenError
from delivery.providers import verdicts
from delivery.providers.base import Outcome
from delivery.services.system_emails.judging import Judgement, judge_opening, judge_sending
from organizations.services import system_emails as queue
from organizations.services.system_emails import Claimed
from subscribers.addresses import InvalidAddress, canonical

logger = structlog.get_logger(__name__)

SLICE_SECONDS: Final = 3.0  # other tasks wait behind this one
STALE_SECONDS: Final = 20.0  # a process that was frozen for longer no longer hands over: its lease may be gone
SES_BACKENDS: Final = ("ses", "local")
STALE: Final = verdicts.Verdict(Outcome.RETRY, None, "not_tried")
ACCEPTED: Final = verdicts.Verdict(Outcome.ACCEPTED, None, "")
# Its retries are off: after a lost answer they would send a second copy that nobody counted.
_AMAZON: Final = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 1, "mode": "standard"})


def send_due() -> int:
    """Send what is due, for some seconds. Returns how many letters were handed over.

    When the way out is in trouble it stops, and what is due waits as long as the letter that met it.
    """
    queue.sweep()
    started_at, sent = monotonic(), 0
    with closing(get_connection(**_options())) as connection:
        while queue.has_way_out() and monotonic() - started_at < SLICE_SECONDS:
            claimed_at, claimed = monotonic(), queue.claim()
            if claimed is None:
                break
            judgement, provider_id = _hand_over(claimed, claimed_at, connection)
            _tell(claimed, judgement, provider_id)
            if judgement.verdict.outcome is Outcome.ACCEPTED:
                sent += 1
            elif judgement.is_about_the_way:
                queue.hold_back(tried=claimed.tried)
                break
    return sent


def purge() -> int:
    """Delete what was over a month ago; returns how many."""
    return queue.purge()


def _tell(claimed: Claimed, judgement: Judgement, provider_id: str) -> None:
    outcome, fields = (
        judgement.verdict.outcome,
        {"email": claimed.pk, "purpose": claimed.purpose, "tried": claimed.tried},
    )
    if outcome is Outcome.ACCEPTED:
        queue.accept(claimed, provider_id=provider_id)
        logger.info("system_email.sent", **fields)
        return
    logger.warning("system_email.not_sent", outcome=outcome.name.lower(), code=judgement.verdict.code, **fields)
    if outcome is Outcome.RETRY:
        queue.postpone(claimed, reason=judgement.reason)
    elif outcome is Outcome.REJECTED:
        queue.refuse(claimed, reason=judgement.reason)
    else:
        queue.doubt(claimed, reason=judgement.reason)


def _hand_over(claimed: Claimed, claimed_at: float, connection: BaseEmailBackend) -> tuple[Judgement, str]:
    """The end of one try, and the provider's id of what was accepted. Raises nothing that the letter itself causes.

    Amazon's client costs a tenth of a second and is kept for the slice. An SMTP connection is not: many servers end it after
    a letter, and smtplib would tell that of the next one as if it were on its way.
    """
    try:
        message = _message(claimed)
    except (SealBrokenError, InvalidAddress, ValueError) as error:
        return Judgement(verdicts.BAD_REQUEST, str(error)), ""
    try:
        connection.open()
    except Exception as error:  # noqa: BLE001 - each backend raises its own; nothing was handed over
        return judge_opening(error), ""
    if monotonic() - claimed_at > STALE_SECONDS:
        return Judgement(STALE, "too much time went by before it could be handed over"), ""
    try:
        connection.send_messages([message])
    except Exception as error:  # noqa: BLE001 - likewise, and judged one by one
        return judge_sending(error, sender=parseaddr(message.from_email)[1]), ""
    finally:
        if settings.SYSTEM_EMAIL_PROVIDER not in SES_BACKENDS:
            connection.close()
    return Judgement(ACCEPTED, ""), str(message.extra_headers.get("message_id", ""))


def _message(claimed: Claimed) -> EmailMultiAlternatives:
    """Every try has the same Message-ID, so that mailboxes that look can fold two copies into one."""
    body = queue.open_body(claimed)
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    message = EmailMultiAlternatives(
        claimed.subject,
        body.text,
        settings.DEFAULT_FROM_EMAIL,
        [canonical(claimed.to).wire],
        headers={
            "Message-ID": f"<{claimed.pk}.{sha256(claimed.sealed_body.encode()).hexdigest()[:24]}@{domain}>",
            "Auto-Submitted": "auto-generated",  # RFC 3834: nobody's absence answers it
            "X-Auto-Response-Suppress": "All",  # the same for Exchange
        },
    )
    message.attach_alternative(body.html, "text/html")
    message.message()  # what can't be written is known before anything is handed over
    return message


def _options() -> dict[str, Any]:
    return {"aws_config": _AMAZON} if settings.SYSTEM_EMAIL_PROVIDER in SES_BACKENDS else {}
