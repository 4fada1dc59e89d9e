"""From events to addresses that must not be mailed. The destination must be the message's own before anybody is hit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

import structlog
from django.utils import timezone

from delivery.models import SendingAccount
from delivery.services.events.arrays import columns
from delivery.services.events.engagement import SOFT_BOUNCE_LIMIT, SOFT_BOUNCE_PAUSE_DAYS, SoftBounces
from delivery.services.events.ledger import Cursor, MailoutInfo
from delivery.services.events.model import Consequence, ProviderEvent
from organizations.models import Organization
from subscribers.addresses import find_key
from subscribers.models import Suppression, SuppressionReason, SuppressionScope
from subscribers.services.suppressing import SuppressionRequest, suppress_many

logger = structlog.get_logger(__name__)

_TERMS = {
    Consequence.HARD_BOUNCE: (SuppressionScope.ALL, SuppressionReason.HARD_BOUNCE),
    Consequence.COMPLAINT: (SuppressionScope.ALL, SuppressionReason.COMPLAINT),
    Consequence.PROVIDER: (SuppressionScope.ALL, SuppressionReason.PROVIDER),
    Consequence.INVALID: (SuppressionScope.ALL, SuppressionReason.INVALID),
    Consequence.UNSUBSCRIBE: (SuppressionScope.MARKETING, SuppressionReason.UNSUBSCRIBE),
}


_DESTINATIONS = """
SELECT k.place, m.address_hash, hashtext(k.address_key), s.address_key, a.address
  FROM unnest(%b::int[], %b::int[], %b::int[], %b::text[]) AS k(place, mailout_id, n, address_key)
  JOIN delivery_message m ON m.mailout_id = k.mailout_id AND m.n = k.n
  LEFT JOIN subscribers_subscriber s ON s.id = m.subscriber_id AND m.subscriber_id <> 0
  LEFT JOIN delivery_message_address a ON a.mailout_id = m.mailout_id AND a.n = m.n AND m.subscriber_id = 0
"""


# A message is gone when its month was dropped or its organization deleted. What is left to tell a late bounce from a
# forgery, or from what another installation with our keys sent, is the way on which it came.
_GONE_ON_A_STRANGE_WAY = """
SELECT k.place
  FROM unnest(%b::int[], %b::int[], %b::int[], %b::text[]) AS k(place, mailout_id, n, topic_arn)
 WHERE NOT EXISTS (SELECT 1 FROM delivery_message m WHERE m.mailout_id = k.mailout_id AND m.n = k.n)
   AND NOT EXISTS (SELECT 1 FROM delivery_mailout o
                     JOIN delivery_sendingaccount a ON a.id = o.account_id OR a.organization_id = o.organization_id
                    WHERE o.id = k.mailout_id
                      AND (k.topic_arn = ANY(a.topic_arns) OR k.topic_arn = 'account:' || a.id))
"""


class Foreign(NamedTuple):
    """An event that must hit nobody, and why."""

    event: ProviderEvent
    reason: str


def find_foreign(cursor: Cursor, events: Sequence[ProviderEvent]) -> list[Foreign]:
    """Return the events that name a destination which their message never had, or a message that is gone and that came
    neither over a topic of its mailout's account nor over one of its organization's.

    The destination may be the address of today, the one that the audience was frozen with (known by its hash, also
    after erasure), or that of a recipient who is no subscriber.
    """
    ours = [event for event in events if event.mailout_id]
    if not ours:
        return []
    keys = [find_key(event.address) for event in ours]
    rows = [(place, event.mailout_id, event.n, keys[place]) for place, event in enumerate(ours)]
    cursor.execute(_DESTINATIONS, columns("iiis", rows))
    foreign = []
    for place, frozen, hashed, subscriber_key, address in cursor:
        key = keys[place]
        if not (key and (key == subscriber_key or hashed == frozen or (address and key == find_key(address)))):
            foreign.append(Foreign(ours[place], "the destination is not the message's"))
    ways = [(place, event.mailout_id, event.n, event.topic_arn) for place, event in enumerate(ours)]
    cursor.execute(_GONE_ON_A_STRANGE_WAY, columns("iiis", ways))
    foreign += [Foreign(ours[place], "the message is gone, and the topic is not its account's") for (place,) in cursor]
    return foreign


def suppress_addresses(events: Sequence[ProviderEvent], mailouts: dict[int, MailoutInfo]) -> None:
    """Suppress the destinations within the organization that the event's token, or else its topic, belongs to."""
    topics: dict[str, list[int]] = {}
    requests: dict[int, list[SuppressionRequest]] = defaultdict(list)
    for event in sorted(events, key=lambda event: (event.at, event.consequence)):
        key = find_key(event.address)
        if not key:
            logger.warning("events.destination_unreadable", mailout=event.mailout_id, n=event.n)
            continue
        info = mailouts.get(event.mailout_id)
        if info is None and event.topic_arn not in topics:
            topics[event.topic_arn] = _organizations_of_topic(event.topic_arn)
        scope, reason = _TERMS[event.consequence]
        source = f"message:{event.mailout_id}/{event.n}" if event.mailout_id else "provider"
        for organization_id in [info.organization_id] if info else topics[event.topic_arn]:
            requests[organization_id].append(SuppressionRequest(key, scope, reason, source))
    now = timezone.now()
    for organization_id, wanted in sorted(requests.items()):
        # Of several reasons for an address in one batch the gravest counts, whichever came first.
        wanted.sort(key=lambda request: request.reason == SuppressionReason.COMPLAINT)
        suppress_many(organization=Organization(pk=organization_id), requests=wanted, at=now)


def _organizations_of_topic(topic_arn: str) -> list[int]:
    way, _, account_id = topic_arn.partition(":")
    if way == "account":  # the account's own address, of a provider other than Amazon SES
        accounts = SendingAccount.objects.filter(pk=int(account_id))
    else:
        accounts = SendingAccount.objects.filter(topic_arns__contains=[topic_arn])
    return list(accounts.order_by("organization_id").values_list("organization_id", flat=True).distinct())


def pause_soft_bounced(changes: Sequence[SoftBounces]) -> None:
    """Pause marketing to addresses that bounced softly too often in a row, and end the pause after a delivery."""
    requests: dict[int, list[SuppressionRequest]] = defaultdict(list)
    recovered: dict[int, list[str]] = defaultdict(list)
    for change in changes:
        if change.now >= SOFT_BOUNCE_LIMIT:
            expires_at = (change.at or timezone.now()) + timedelta(days=SOFT_BOUNCE_PAUSE_DAYS)
            requests[change.organization_id].append(
                SuppressionRequest(
                    change.address_key,
                    SuppressionScope.MARKETING,
                    SuppressionReason.SOFT_BOUNCE,
                    f"{change.now} soft bounces in a row",
                    expires_at=expires_at,
                )
            )
        elif change.was >= SOFT_BOUNCE_LIMIT:
            recovered[change.organization_id].append(change.address_key)
    for organization_id, wanted in sorted(requests.items()):
        suppress_many(organization=Organization(pk=organization_id), requests=wanted, at=timezone.now())
    for organization_id, keys in sorted(recovered.items()):
        Suppression.objects.filter(
            organization_id=organization_id, address_key__in=keys, reason=SuppressionReason.SOFT_BOUNCE
        ).delete()
