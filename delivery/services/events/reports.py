"""Reports of providers other than Amazon SES, on their way through the inbox and into the ledger's vocabulary.

The door has checked who says it. A message is found by its token, which the service carries as metadata or tag, and
without one by the provider's id and the address, among the mailouts of the account that was reported to.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import orjson
from django.db import connection

from delivery.models import EventType
from delivery.providers.base import InboundEvent
from delivery.services.events.inbox import store_provider_message
from delivery.services.events.model import Consequence, MalformedEventError, ProviderEvent, discriminator, read_time
from delivery.services.partitions import MAILOUTS_PER_MONTH, month_number, month_start
from delivery.tokens import read_track_token
from subscribers.addresses import find_key

SOURCE: Final = "account"
MONTHS_BACK: Final = 2  # that a message is looked for without its token

_ACTS: Final = {"opened": EventType.OPENED.value, "clicked": EventType.CLICKED.value}
_PLAIN: Final = {
    "delivered": EventType.DELIVERED.value,
    "deferred": EventType.DEFERRED.value,
    "autoresponded": EventType.AUTORESPONDED.value,
    "sent": EventType.SENT.value,
    "queued": EventType.SENT.value,
}
# Why a service did not even try: what it means for the address.
_REASONS: Final = {
    "bounced": Consequence.PROVIDER,
    "spam": Consequence.PROVIDER,
    "unsubscribed": Consequence.UNSUBSCRIBE,
    "invalid": Consequence.INVALID,
}

_IS_ITS_OWN = """
SELECT EXISTS (SELECT 1 FROM delivery_mailout o JOIN delivery_sendingaccount a ON a.id = %s
                WHERE o.id = %s AND (o.account_id = a.id OR o.organization_id = a.organization_id))
    OR NOT EXISTS (SELECT 1 FROM delivery_mailout o WHERE o.id = %s)
"""

# A person's messages are looked up by their key in each mailout of the account: a few microseconds each.
_BY_PROVIDER_ID = """
SELECT m.mailout_id, m.n
  FROM delivery_mailout o
  JOIN subscribers_subscriber s ON s.organization_id = o.organization_id AND s.address_key = %s
  JOIN delivery_message m ON m.mailout_id = o.id AND m.subscriber_id = s.id
 WHERE o.account_id = %s AND o.id >= %s AND m.mailout_id >= %s AND m.provider_id = %s
 ORDER BY m.mailout_id DESC LIMIT 1
"""


def store_report(*, account_id: int, event: InboundEvent, now: datetime) -> bool:
    """Store one report; False when it was here before."""
    at = event.at or now
    body = orjson.dumps({**event._asdict(), "at": at.isoformat(), "account": account_id})
    return store_provider_message(
        source=SOURCE,
        unique_id=f"account:{account_id}/{event.kind}/{event.id}/{event.address}",
        # Services repeat for days: within a month a repeat is found here, later it meets its event in the ledger.
        published_at=month_start(month_number(now)),
        body=body,
    )


def read_report(body: bytes) -> list[ProviderEvent]:
    """Read what `store_report` stored. Returns nothing for what is of no interest. Raises MalformedEventError."""
    try:
        report: dict[str, Any] = orjson.loads(body)
        account_id = int(report.pop("account"))
        event = InboundEvent(**report)._replace(at=read_time(report["at"]))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise MalformedEventError(f"not a report: {type(error).__name__}") from error
    mailout_id, n = _message_of(account_id, event)
    found = _meaning(event)
    if found is None:
        return []
    type_, consequence = found
    at = (event.at or datetime.now(UTC)).astimezone(UTC)
    is_act = type_ in _ACTS.values()
    problem = None
    if type_ == EventType.REJECTED:
        problem = f"rejected: {event.reason or event.text}"
    elif type_ == EventType.FAILED:
        problem = f"failed at the service: {event.text or event.reason}"
    return [
        ProviderEvent(
            mailout_id,
            n,
            type_,
            at.replace(microsecond=0) if is_act else at,
            disc=discriminator(event.link, event.user_agent) if is_act else discriminator(event.id),
            address=event.address,
            consequence=consequence,
            sent_at=None if is_act else at,
            provider_id=event.provider_id or None,
            error=problem,
            user_agent=event.user_agent,
            detail=_detail(event),
            topic_arn=f"account:{account_id}",
        )
    ]


def _meaning(event: InboundEvent) -> tuple[int, Consequence] | None:
    """Type and consequence; None for what says nothing about a message of ours."""
    kind = event.kind
    if kind in _PLAIN:
        return _PLAIN[kind], Consequence.NONE
    if kind in _ACTS:
        return _ACTS[kind], Consequence.NONE
    if kind == "bounced":
        if event.is_permanent:
            return EventType.BOUNCED.value, Consequence.HARD_BOUNCE
        return EventType.SOFT_BOUNCED.value, Consequence.NONE
    if kind == "complained":
        return EventType.COMPLAINED.value, Consequence.COMPLAINT
    if kind == "unsubscribed":
        return EventType.UNSUBSCRIBED.value, Consequence.UNSUBSCRIBE
    if kind == "rejected":
        return EventType.REJECTED.value, _REASONS.get(event.reason, Consequence.NONE)
    if kind == "failed":
        return EventType.FAILED.value, Consequence.NONE
    return None


def _message_of(account_id: int, event: InboundEvent) -> tuple[int, int]:
    """The message that a report is about, (0, 0) when it is none of ours. Raises MalformedEventError for another's."""
    if event.tag:
        token = read_track_token(event.tag)
        if token is None:
            raise MalformedEventError("a token that is none of ours")
        with connection.cursor() as cursor:
            cursor.execute(_IS_ITS_OWN, [account_id, token.mailout_id, token.mailout_id])
            if not cursor.fetchone()[0]:
                raise MalformedEventError("a message that this account did not send")
        return token.mailout_id, token.n
    key = find_key(event.address)
    if not (key and event.provider_id):
        return 0, 0
    oldest = (month_number(datetime.now(UTC)) - MONTHS_BACK) * MAILOUTS_PER_MONTH
    with connection.cursor() as cursor:
        cursor.execute(_BY_PROVIDER_ID, [key, account_id, oldest, oldest, event.provider_id])
        row = cursor.fetchone()
    return (row[0], row[1]) if row else (0, 0)


def _detail(event: InboundEvent) -> bytes | None:
    if event.kind in _ACTS:
        return orjson.dumps({"ip": "", "ua": event.user_agent, "link": event.link})
    kept = {name: value for name, value in (("reason", event.reason), ("smtp", event.text)) if value}
    return orjson.dumps(kept) if kept else None
