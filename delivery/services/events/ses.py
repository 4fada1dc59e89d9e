"""SES's events over SNS, in both dialects, to the ledger's vocabulary.

Configuration sets say `eventType` and carry our tags; identity notifications say `notificationType` and at best the
message's headers. Unknown fields and unknown types are normal: SES adds them without notice.
https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson

from delivery.models import EventType
from delivery.services.events.bounces import bounce_meaning, complaint_meaning
from delivery.services.events.model import (
    Consequence,
    MalformedEventError,
    ProviderEvent,
    discriminator,
    read_time,
)
from delivery.services.events.privacy import truncate_address
from delivery.tokens import TrackToken, read_track_token

Json = dict[str, Any]

# SES publishes this line, which isn't JSON, when an event destination is created.
VALIDATION_NOTICE = "Successfully validated SNS topic"
_TOKEN_IN_HEADER = re.compile(r"[?&]m=([A-Za-z0-9_-]{20,60})")
_NO_TOKEN = TrackToken(0, 0)
_SENT, _DELIVERED = EventType.SENT.value, EventType.DELIVERED.value
_TEXT = 300  # characters kept of any text that the other side wrote


def read_sns(body: bytes) -> list[ProviderEvent]:
    """Read a verified SNS notification. Returns nothing for what is genuine and of no interest.

    Raises MalformedEventError for what can't be read.
    """
    try:
        envelope = orjson.loads(body)
        message, topic = envelope["Message"], envelope["TopicArn"]
        if message.startswith(VALIDATION_NOTICE):
            return []
        notification = orjson.loads(message)
        return read_notification(notification, topic)
    except orjson.JSONDecodeError as error:
        raise MalformedEventError("not JSON") from error
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise MalformedEventError(f"not an SES event: {type(error).__name__}: {str(error)[:80]}") from error


def write_event(event: bytes, origin: str) -> bytes:
    """An event that came without SNS's envelope, as the inbox keeps it. event: JSON; origin: ARN of queue or stream."""
    return b'{"TopicArn":%b,"event":%b}' % (orjson.dumps(origin), event)


def read_event(body: bytes) -> list[ProviderEvent]:
    """Read what `write_event` wrote. Raises MalformedEventError."""
    try:
        stored = orjson.loads(body)
        return read_notification(stored["event"], stored["TopicArn"])
    except orjson.JSONDecodeError as error:
        raise MalformedEventError("not JSON") from error
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise MalformedEventError(f"not an SES event: {type(error).__name__}: {str(error)[:80]}") from error


def read_notification(notification: Json, topic_arn: str) -> list[ProviderEvent]:
    """Read SES's JSON of either dialect."""
    kind = notification.get("eventType") or notification.get("notificationType")
    if kind is None:
        raise MalformedEventError("neither eventType nor notificationType")
    reader = _READERS.get(kind)
    if reader is None:
        return []
    mail = notification["mail"]
    mailout_id, n = _token(mail) or _NO_TOKEN
    destination = mail.get("destination") or ("",)
    sent_at = read_time(mail.get("timestamp"))
    base = ProviderEvent(
        mailout_id,
        n,
        _SENT,
        sent_at,
        0,
        destination[0],
        Consequence.NONE,
        sent_at,
        mail.get("messageId"),
        topic_arn=topic_arn,
    )
    return reader(base, notification)


def _token(mail: Json) -> TrackToken | None:
    """The message's token: from the tag `m`, else from the List-Unsubscribe header, which carries it, too."""
    tagged = (mail.get("tags") or {}).get("m")
    if tagged:
        return read_track_token(tagged[0])
    for header in mail.get("headers") or ():
        if str(header.get("name", "")).lower() == "list-unsubscribe":
            found = _TOKEN_IN_HEADER.search(str(header.get("value", "")))
            return read_track_token(found.group(1)) if found else None
    return None


def _detail(**fields: object) -> bytes | None:
    kept = {name: value[:_TEXT] if isinstance(value, str) else value for name, value in fields.items() if value}
    return orjson.dumps(kept) if kept else None


def _text(value: object) -> str:
    # PostgreSQL's jsonb and text refuse NUL.
    return value.replace("\0", "")[:_TEXT] if isinstance(value, str) else ""


def _send(base: ProviderEvent, notification: Json) -> list[ProviderEvent]:
    return [base]


def _delivery(base: ProviderEvent, notification: Json) -> list[ProviderEvent]:
    body = notification["delivery"]
    smtp = _text(body.get("smtpResponse"))
    return [
        ProviderEvent(  # nearly all events are of this kind, and _replace takes nearly twice as long
            base.mailout_id,
            base.n,
            _DELIVERED,
            read_time(body.get("timestamp")),
            0,
            base.address,
            Consequence.NONE,
            base.sent_at,
            base.provider_id,
            detail=orjson.dumps({"smtp": smtp}) if smtp else None,
            topic_arn=base.topic_arn,
        )
    ]


def _bounce(base: ProviderEvent, notification: Json) -> list[ProviderEvent]:
    body = notification["bounce"]
    recipients = body.get("bouncedRecipients") or []
    kind, subtype = _text(body.get("bounceType")), _text(body.get("bounceSubType"))
    meaning = bounce_meaning(kind, subtype, recipients)
    first = recipients[0] if recipients else {}
    event = base._replace(
        type=meaning.type.value,
        at=read_time(body.get("timestamp")),
        disc=discriminator(_text(body.get("feedbackId"))),
        consequence=meaning.consequence,
        detail=_detail(
            kind=kind, subtype=subtype, status=_text(first.get("status")), smtp=_text(first.get("diagnosticCode"))
        ),
    )
    return _per_recipient(event, notification, recipients)


def _complaint(base: ProviderEvent, notification: Json) -> list[ProviderEvent]:
    body = notification["complaint"]
    subtype, feedback = _text(body.get("complaintSubType")), _text(body.get("complaintFeedbackType"))
    meaning = complaint_meaning(subtype, feedback)
    if meaning is None:
        return []
    event = base._replace(
        type=meaning.type.value,
        at=read_time(body.get("timestamp")),
        disc=discriminator(_text(body.get("feedbackId"))),
        consequence=meaning.consequence,
        detail=_detail(subtype=subtype, feedback=feedback, agent=_text(body.get("userAgent"))),
    )
    return _per_recipient(event, notification, body.get("complainedRecipients") or [])


def _per_recipient(event: ProviderEvent, notification: Json, recipients: list[Json]) -> list[ProviderEvent]:
    """The destination counts, since a delivery report may name another address than we wrote to (forwarding).

    Only where a message that is not ours had several destinations do the named recipients tell who is meant.
    """
    if event.mailout_id or len(notification["mail"].get("destination") or ()) == 1:
        return [event]
    return [event._replace(address=str(recipient.get("emailAddress", ""))) for recipient in recipients]


def _delay(base: ProviderEvent, notification: Json) -> list[ProviderEvent]:
    body = notification["deliveryDelay"]
    first = (body.get("delayedRecipients") or [{}])[0]
    return [
        base._replace(
            type=EventType.DEFERRED.value,
            at=read_time(body.get("timestamp")),
            disc=discriminator(_text(body.get("delayType"))),
            detail=_detail(
                kind=_text(body.get("delayType")),
                status=_text(first.get("status")),
                smtp=_text(first.get("diagnosticCode")),
            ),
        )
    ]


def _reject(base: ProviderEvent, notification: Json) -> list[ProviderEvent]:
    reason = _text(notification["reject"].get("reason"))
    error = f"rejected: {reason}"
    return [base._replace(type=EventType.REJECTED.value, error=error, detail=_detail(reason=reason))]


def _rendering_failure(base: ProviderEvent, notification: Json) -> list[ProviderEvent]:
    reason = _text(notification["failure"].get("errorMessage"))
    return [base._replace(type=EventType.FAILED.value, error=f"rendering: {reason}", detail=_detail(reason=reason))]


def _open(base: ProviderEvent, notification: Json) -> list[ProviderEvent]:
    return [_reader_act(base, notification["open"], EventType.OPENED.value)]


def _click(base: ProviderEvent, notification: Json) -> list[ProviderEvent]:
    return [_reader_act(base, notification["click"], EventType.CLICKED.value)]


def _reader_act(base: ProviderEvent, body: Json, type_: int) -> ProviderEvent:
    address = truncate_address(_text(body.get("ipAddress")))
    agent, link = _text(body.get("userAgent")), _text(body.get("link"))
    return base._replace(
        type=type_,
        at=read_time(body.get("timestamp")).replace(microsecond=0),
        disc=discriminator(link, address, agent),
        user_agent=agent,
        detail=_detail(ip=address, ua=agent, link=link),
    )


_READERS: dict[str, Callable[[ProviderEvent, Json], list[ProviderEvent]]] = {
    "Send": _send,
    "Delivery": _delivery,
    "Bounce": _bounce,
    "Complaint": _complaint,
    "DeliveryDelay": _delay,
    "Reject": _reject,
    "Rendering Failure": _rendering_failure,
    "Open": _open,
    "Click": _click,
}
