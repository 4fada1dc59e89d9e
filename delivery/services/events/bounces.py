"""What SES's bounces and complaints mean: for the ledger and for the address.

The table follows SES's notification contents; the exceptions follow what mail servers really answer:
a dead mailbox is often reported as transient (RFC 3463 5.1.x says otherwise), an out-of-office reply as a bounce.
https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from delivery.models import EventType
from delivery.services.events.model import Consequence


class Meaning(NamedTuple):
    type: EventType
    consequence: Consequence


# The message's fault, not the mailbox's: another message may well arrive.
MESSAGE_CAUSED = ("MessageTooLarge", "ContentRejected", "AttachmentRejected")

_HARD = Meaning(EventType.BOUNCED, Consequence.HARD_BOUNCE)
_SOFT = Meaning(EventType.SOFT_BOUNCED, Consequence.NONE)
# Held back by a list of the provider: never left, so it counts neither as bounce nor as complaint.
_HELD_BACK = Meaning(EventType.REJECTED, Consequence.PROVIDER)

_PERMANENT = {
    "OnAccountSuppressionList": _HELD_BACK,
    "OnTenantSuppressionList": _HELD_BACK,
    "EmailValidationSuppressed": Meaning(EventType.REJECTED, Consequence.INVALID),
    "UnsubscribedRecipient": Meaning(EventType.REJECTED, Consequence.UNSUBSCRIBE),
}
_SUPPRESSION_LISTS = ("OnAccountSuppressionList", "OnTenantSuppressionList")

# RFC 3463: bad mailbox, system or syntax, moved, null MX, disabled. Not 5.2.2 (full), 5.7.x (policy), 5.1.7 (ours).
_DEAD_MAILBOX = re.compile(r"5\.(?:1\.(?:0|1|2|3|6|10)|2\.1)(?![0-9.])")
_ENHANCED = re.compile(r"(?<![0-9.])[245]\.[0-9]{1,3}\.[0-9]{1,3}(?![0-9.])")
_REPLY_550 = re.compile(r"(?<![0-9.])550(?![0-9])")


def bounce_meaning(kind: str, subtype: str, recipients: Sequence[dict[str, Any]]) -> Meaning:
    """Place a bounce. `recipients` are SES's bouncedRecipients."""
    if kind == "Permanent":
        return _PERMANENT.get(subtype, _HARD)
    if kind != "Transient":
        return _SOFT
    if subtype not in MESSAGE_CAUSED and any(is_dead_mailbox(recipient) for recipient in recipients):
        return _HARD
    if subtype == "General" and not any(_has_failed(recipient) for recipient in recipients):
        return Meaning(EventType.AUTORESPONDED, Consequence.NONE)
    return _SOFT


def complaint_meaning(subtype: str, feedback: str) -> Meaning | None:
    """Place a complaint; None for one that says the opposite, or that concerns our set-up and nobody's wish."""
    if subtype in _SUPPRESSION_LISTS:
        return _HELD_BACK
    if feedback in ("not-spam", "auth-failure"):
        return None
    return Meaning(EventType.COMPLAINED, Consequence.COMPLAINT)


def is_dead_mailbox(recipient: dict[str, Any]) -> bool:
    """Whether a recipient's status says that the mailbox does not exist, whatever SES calls the bounce.

    The enhanced code decides where there is one; a bare 550 only where there is none.
    """
    if recipient.get("action") == "delayed":
        return False  # RFC 3464 §2.3.3: still being tried
    status = str(recipient.get("status") or "")
    diagnosis = str(recipient.get("diagnosticCode") or "")
    code = _ENHANCED.search(status) or _ENHANCED.search(diagnosis)
    if code is not None and code.group() != "5.0.0":
        return _DEAD_MAILBOX.fullmatch(code.group()) is not None
    return _REPLY_550.search(f"{status} {diagnosis}") is not None


def _has_failed(recipient: dict[str, Any]) -> bool:
    """An automatic reply is no delivery report: it has neither a failing status nor a failed action."""
    return recipient.get("action") in ("failed", "delayed") or str(recipient.get("status") or "")[:1] in ("4", "5")
