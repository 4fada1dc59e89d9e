"""Events of emails in the JSON that SES publishes for configuration sets."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import orjson

from localses import limits, mime
from localses.config import ACCOUNT_ID, DEFAULT_REGION
from localses.envelopes import iso
from localses.model import Json
from localses.store import StoredMessage

EVENT_TYPES = {
    "SEND": "Send",
    "REJECT": "Reject",
    "BOUNCE": "Bounce",
    "COMPLAINT": "Complaint",
    "DELIVERY": "Delivery",
    "OPEN": "Open",
    "CLICK": "Click",
    "RENDERING_FAILURE": "Rendering Failure",
    "DELIVERY_DELAY": "DeliveryDelay",
}
_MTA = "dns; a8-50.smtp-out.amazonses.com"
_DIAGNOSES = {
    "Permanent/General": ("5.1.1", "smtp; 550 5.1.1 user unknown"),
    "Permanent/Suppressed": (
        "5.1.1",
        "Amazon SES has suppressed sending to this address because it has a recent history of bouncing as an invalid "
        "address. For more information about how to remove an address from the suppression list, see the Amazon SES "
        "Developer Guide.",
    ),
    "Permanent/OnAccountSuppressionList": (
        "5.1.1",
        "Amazon SES did not send the message to this address because it is on the suppression list for your account.",
    ),
    "Transient/MailboxFull": ("5.2.2", "smtp; 552 5.2.2 mailbox full"),
    "Transient/ContentRejected": ("5.6.1", "smtp; 554 5.6.1 message content rejected"),
}
_DELAYS = {
    "MailboxFull": ("4.2.2", "smtp; 452 4.2.2 mailbox full"),
    "TransientCommunicationFailure": ("4.4.1", "smtp; 421 4.4.1 connection timed out"),
}


@dataclass(frozen=True, slots=True)
class Event:
    """A row of the event table. `due_at` is when it happens; a fault may let it arrive later, again, or never."""

    id: int
    message: int
    kind: str
    recipient: str | None
    detail: str | None
    due_at: float
    copy_of: int | None = None
    has_own_id: bool = False
    is_missing: bool = False

    @property
    def origin(self) -> int:
        """Return the row that first told this."""
        return self.copy_of or self.id

    @property
    def published_as(self) -> int:
        """Return the row whose SNS message id it is published under."""
        return self.id if self.has_own_id else self.origin


def build(message: StoredMessage, event: Event) -> Json:
    """Return the JSON document of an event."""
    name = EVENT_TYPES[event.kind]
    key, body = _BODIES[event.kind](message, event)
    return {"eventType": name, "mail": _mail(message, event), key: body}


def _mail(message: StoredMessage, event: Event) -> Json:
    sender = message.content["from"]
    domain = limits.bare_address(sender).rpartition("@")[2]
    tags = {name: [value] for name, value in message.tags.items()}
    tags["ses:operation"] = ["SendBulkTemplatedEmail" if message.content["kind"] == "template" else "SendEmail"]
    if message.configuration_set:
        tags["ses:configuration-set"] = [message.configuration_set]
    tags["ses:source-ip"] = ["127.0.0.1"]
    tags["ses:from-domain"] = [domain]
    tags["ses:caller-identity"] = ["localses"]
    if event.kind == "DELIVERY":
        tags["ses:outgoing-ip"] = ["127.0.0.1"]
    mail: Json = {
        "timestamp": iso(message["accepted_at"]),
        "source": sender,
        "sourceArn": f"arn:aws:ses:{DEFAULT_REGION}:{ACCOUNT_ID}:identity/{domain}",
        "sendingAccountId": ACCOUNT_ID,
        "messageId": message["message_id"],
        "destination": [limits.bare_address(address) for address in message.destination],
        "headersTruncated": False,
        "tags": tags,
    }
    if event.kind != "RENDERING_FAILURE":
        _add_headers(mail, message)
    return mail


def _add_headers(mail: Json, message: StoredMessage) -> None:
    at = format_datetime(datetime.fromtimestamp(message["accepted_at"], UTC))
    pairs = [
        ("From", message.content["from"]),
        ("To", ", ".join(message.entry["to"])),
        ("Subject", message["subject"]),
        ("MIME-Version", "1.0"),
        *mime.merged_headers(message),
    ]
    mail["headers"] = [{"name": name, "value": value} for name, value in pairs]
    mail["commonHeaders"] = {
        "from": [message.content["from"]],
        "date": at,
        "to": message.entry["to"],
        "messageId": message["message_id"],
        "subject": message["subject"],
    }


def feedback_id(message: StoredMessage, event: Event) -> str:
    """Return the id that a bounce or complaint keeps."""
    raw = hashlib.blake2b(f"{message['message_id']}/{event.origin}".encode(), digest_size=16).hexdigest()
    return f"0100{int(event.due_at * 1000):012x}-{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}-000000"


def _send(message: StoredMessage, event: Event) -> tuple[str, Json]:
    return "send", {}


def _reject(message: StoredMessage, event: Event) -> tuple[str, Json]:
    return "reject", {"reason": event.detail}


def _rendering_failure(message: StoredMessage, event: Event) -> tuple[str, Json]:
    text = f"Attribute '{event.detail}' is not present in the rendering data."
    return "failure", {"errorMessage": text, "templateName": message.content["template_name"]}


def _delivery(message: StoredMessage, event: Event) -> tuple[str, Json]:
    return "delivery", {
        "timestamp": iso(event.due_at),
        "processingTimeMillis": int((event.due_at - message["accepted_at"]) * 1000),
        "recipients": [event.recipient],
        "smtpResponse": "250 2.6.0 Message received",
        "reportingMTA": _MTA.removeprefix("dns; "),
        "remoteMtaIp": "127.0.0.1",
    }


def _bounce(message: StoredMessage, event: Event) -> tuple[str, Json]:
    kind, _, subtype = (event.detail or "Undetermined/Undetermined").partition("/")
    recipient: dict[str, Any] = {"emailAddress": event.recipient}
    diagnosis = _DIAGNOSES.get(event.detail or "")
    if diagnosis is not None:  # an automatic reply (Transient/General) has none
        recipient |= {"action": "failed", "status": diagnosis[0], "diagnosticCode": diagnosis[1]}
    return "bounce", {
        "bounceType": kind,
        "bounceSubType": subtype,
        "bouncedRecipients": [recipient],
        "timestamp": iso(event.due_at),
        "feedbackId": feedback_id(message, event),
        "reportingMTA": _MTA,
    }


def _complaint(message: StoredMessage, event: Event) -> tuple[str, Json]:
    return "complaint", {
        "complainedRecipients": [{"emailAddress": event.recipient}],
        "timestamp": iso(event.due_at),
        "feedbackId": feedback_id(message, event),
        "complaintSubType": None,
        "userAgent": "Amazon SES Mailbox Simulator",
        "complaintFeedbackType": event.detail,
        "arrivalDate": iso(message["accepted_at"]),
    }


def _delay(message: StoredMessage, event: Event) -> tuple[str, Json]:
    kind = event.detail or "Undetermined"
    status, diagnosis = _DELAYS.get(kind, ("4.0.0", "smtp; 451 4.0.0 try again later"))
    delayed = {"emailAddress": event.recipient, "status": status, "diagnosticCode": diagnosis}
    return "deliveryDelay", {
        "delayType": kind,
        "delayedRecipients": [delayed],
        "expirationTime": iso(message["accepted_at"] + 14 * 3600),
        "reportingMTA": _MTA.removeprefix("dns; "),
        "timestamp": iso(event.due_at),
    }


def _opened(message: StoredMessage, event: Event) -> tuple[str, Json]:
    seen = orjson.loads(event.detail or "{}")
    return "open", {"ipAddress": "127.0.0.1", "timestamp": iso(event.due_at), "userAgent": seen.get("userAgent", "")}


def _clicked(message: StoredMessage, event: Event) -> tuple[str, Json]:
    seen = orjson.loads(event.detail or "{}")
    return "click", {
        "ipAddress": "127.0.0.1",
        "timestamp": iso(event.due_at),
        "userAgent": seen.get("userAgent", ""),
        "link": seen.get("link", ""),
        "linkTags": None,
    }


_BODIES = {
    "SEND": _send,
    "REJECT": _reject,
    "BOUNCE": _bounce,
    "COMPLAINT": _complaint,
    "DELIVERY": _delivery,
    "OPEN": _opened,
    "CLICK": _clicked,
    "RENDERING_FAILURE": _rendering_failure,
    "DELIVERY_DELAY": _delay,
}
