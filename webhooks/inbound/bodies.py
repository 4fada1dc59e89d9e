"""Events that arrive in bulk, from a queue or a stream: what is inside, and whose they are.

Three forms: SNS's envelope, SES's bare document (raw message delivery, Firehose), and EventBridge's envelope. None of
them is verified by a signature: that a queue or a stream brings them is proven by the credentials it is read with, or
by the key that it sends. What they say about where they come from is compared with the accounts' allow-list.

A bare event has no id. Its identity is SES's message id, the type, the recipients and the time, so that a repeat is
stored once; that the same event came through SNS's envelope, too, is seen by the ledger, whose key is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple

import orjson

from delivery.services.events import ProviderMessage
from delivery.services.events.model import MalformedEventError, read_time
from delivery.services.events.ses import VALIDATION_NOTICE, write_event
from webhooks.inbound.sns import NOTIFICATION, GarbageError, parse_topic
from webhooks.inbound.topics import TopicAccount

Json = dict[str, Any]

_INNER = {
    "Bounce": "bounce",
    "Complaint": "complaint",
    "Delivery": "delivery",
    "DeliveryDelay": "deliveryDelay",
    "Open": "open",
    "Click": "click",
}
_TELLING = ("feedbackId", "delayType", "link", "ipAddress", "userAgent")


class Origin(NamedTuple):
    """Where bodies come from. arn: of the queue or stream; is_local: Local SES's, which is never mixed with Amazon's."""

    arn: str
    is_local: bool


Find = Callable[[str], TopicAccount | None]


def read_body(body: bytes, origin: Origin, find: Find) -> list[ProviderMessage]:
    """Read one body; `find` knows the account that lists a topic, queue or stream.

    Returns nothing for what is genuine and of no interest. What can't be read or believed has a `problem`.
    """
    try:
        return _read(body, origin, find)
    except orjson.JSONDecodeError:
        if body.startswith(VALIDATION_NOTICE.encode()):
            return []
        lines = [line for line in body.splitlines() if line.strip()]
        if len(lines) > 1:  # Firehose joins records
            return [message for line in lines for message in read_body(line, origin, find)]
        return [_problem(body, origin, "not JSON")]
    except (GarbageError, MalformedEventError) as error:
        return [_problem(body, origin, str(error))]
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:  # the last: a time of the year 1
        return [_problem(body, origin, f"not an SES event: {type(error).__name__}")]


def _read(body: bytes, origin: Origin, find: Find) -> list[ProviderMessage]:
    document = orjson.loads(body)
    if not isinstance(document, dict):
        raise GarbageError("not a JSON object")
    if "TopicArn" in document:
        return [_wrapped(document, body, origin, find)]
    if document.get("source") == "aws.ses" and isinstance(document.get("detail"), dict):
        event: Json = document["detail"]
        if "eventType" not in event:
            return []  # EventBridge also tells about the account
        return [_bare(event, orjson.dumps(event), origin, find)]
    if "eventType" in document or "notificationType" in document:
        return [_bare(document, body, origin, find)]
    raise GarbageError("neither an SNS message nor an SES event")


def _wrapped(document: Json, body: bytes, origin: Origin, find: Find) -> ProviderMessage:
    topic = parse_topic(document["TopicArn"])
    _check_origin(topic.arn, "topic", origin, find)
    if document["Type"] != NOTIFICATION or not isinstance(document["Message"], str):
        raise GarbageError("not a notification")
    # As the door for SNS's own requests stores it: a message that comes both ways is stored once.
    return ProviderMessage("ses", f"{topic.arn}/{document['MessageId']}", read_time(document["Timestamp"]), body)


def _bare(event: Json, body: bytes, origin: Origin, find: Find) -> ProviderMessage:
    _check_origin(origin.arn, "queue or stream", origin, find)
    mail: Json = event["mail"]
    kind = event.get("eventType") or event["notificationType"]
    inner = event.get(_INNER.get(kind, ""), {})
    at = read_time(inner.get("timestamp") or mail["timestamp"])
    named = inner.get("bouncedRecipients") or inner.get("complainedRecipients") or ()
    recipients = [*(mail.get("destination") or ()), *(recipient.get("emailAddress") for recipient in named)]
    identity = [mail["messageId"], kind, at.astimezone(UTC), recipients, *(inner.get(name) for name in _TELLING)]
    return ProviderMessage("event", orjson.dumps(identity).decode(), at, write_event(body.strip(), origin.arn))


def _check_origin(arn: str, noun: str, origin: Origin, find: Find) -> None:
    account = find(arn)
    if account is None:
        raise GarbageError(f"a {noun} that no sending account lists: {arn}")
    if account.is_local != origin.is_local:
        raise GarbageError(f"a {noun} of Local SES where Amazon's are expected, or the other way round: {arn}")


def _problem(body: bytes, origin: Origin, reason: str) -> ProviderMessage:
    """Kept once a month, however often it comes."""
    month = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return ProviderMessage("ses", f"{origin.arn}/{sha256(body).hexdigest()}", month, body, f"{reason}"[:1000])
