"""Addresses that must not be mailed, whether we know the person or not."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from amazonsender.core.errors import Conflict, InvalidInput
from organizations.models import Organization, User
from organizations.services.audit import record
from subscribers.addresses import canonical
from subscribers.models import List, Subscriber, SubscriberStatus, Suppression, SuppressionReason, SuppressionScope

# What a suppression makes of the person, and which states it may replace: nothing ever becomes more mailable.
STATUS_OF: Final[dict[SuppressionReason, SubscriberStatus]] = {
    SuppressionReason.COMPLAINT: SubscriberStatus.COMPLAINED,
    SuppressionReason.HARD_BOUNCE: SubscriberStatus.BOUNCED,
    SuppressionReason.INVALID: SubscriberStatus.BOUNCED,
    SuppressionReason.UNSUBSCRIBE: SubscriberStatus.UNSUBSCRIBED,
}
WEAKER_THAN: Final[dict[SubscriberStatus, list[SubscriberStatus]]] = {
    SubscriberStatus.COMPLAINED: [
        SubscriberStatus.ACTIVE,
        SubscriberStatus.UNSUBSCRIBED,
        SubscriberStatus.BOUNCED,
    ],
    SubscriberStatus.BOUNCED: [SubscriberStatus.ACTIVE, SubscriberStatus.UNSUBSCRIBED],
    SubscriberStatus.UNSUBSCRIBED: [SubscriberStatus.ACTIVE],
}


@dataclass(frozen=True)
class SuppressionRequest:
    """One address of `suppress_many`."""

    address_key: str
    scope: str
    reason: str
    source: str = ""
    list_id: int | None = None
    expires_at: datetime.datetime | None = None


# A later, weaker reason must not cover a stronger one, or a complaint could be lifted as "added by hand"; and a
# suppression for a while never shortens one for good.
_UPSERT = """
INSERT INTO subscribers_suppression AS s
  (organization_id, address_key, scope, list_id, reason, source, expires_at, created_at)
SELECT %(organization)s, r.address_key, r.scope, r.list_id, r.reason, r.source, r.expires_at, %(at)s
FROM unnest(%(keys)s::text[], %(scopes)s::text[], %(lists)s::bigint[], %(reasons)s::text[], %(sources)s::text[],
            %(expiries)s::timestamptz[]) AS r (address_key, scope, list_id, reason, source, expires_at)
ORDER BY r.address_key, r.scope, r.list_id
ON CONFLICT ON CONSTRAINT suppression_once DO UPDATE SET
  reason = EXCLUDED.reason, source = EXCLUDED.source,
  expires_at = CASE WHEN s.expires_at IS NULL OR EXCLUDED.expires_at IS NULL THEN NULL
                    ELSE greatest(s.expires_at, EXCLUDED.expires_at) END
WHERE s.reason <> 'complaint' AND (s.expires_at IS NOT NULL OR EXCLUDED.reason IN ('complaint', 'hard_bounce'))
"""


def suppress(
    *,
    organization: Organization | None,
    address_key: str,
    scope: str,
    reason: str,
    source: str,
    at: datetime.datetime,
    list_id: int | None = None,
    expires_at: datetime.datetime | None = None,
) -> None:
    """Stop mail to one canonical address; without an organization, for the whole platform."""
    request = SuppressionRequest(address_key, scope, reason, source, list_id, expires_at)
    suppress_many(organization=organization, requests=[request], at=at)


@transaction.atomic
def suppress_many(
    *, organization: Organization | None, requests: Sequence[SuppressionRequest], at: datetime.datetime
) -> None:
    """Stop mail to many addresses in one transaction.

    1. Lock the subscribers with these addresses in the order of their ids: every writer does, so nothing deadlocks.
    2. Insert or strengthen the suppressions, in the order of addresses.
    3. Stamp `opted_out_at` and lower the status of the subscribers, in all organizations for the platform's scope.

    An unknown address just gets its suppression: it is found again when somebody imports it.
    """
    latest = {(r.address_key, r.scope, r.list_id): r for r in requests}
    if not latest:
        return
    keys = sorted({r.address_key for r in latest.values()})
    people = _lock_people(organization, keys)
    wanted = list(latest.values())
    with connection.cursor() as cursor:
        cursor.execute(
            _UPSERT,
            {
                "organization": organization.pk if organization else None,
                "at": at,
                "keys": [r.address_key for r in wanted],
                "scopes": [r.scope for r in wanted],
                "lists": [r.list_id for r in wanted],
                "reasons": [r.reason for r in wanted],
                "sources": [r.source[:300] for r in wanted],
                "expiries": [r.expires_at for r in wanted],
            },
        )
    _stamp(people, wanted)


def _lock_people(organization: Organization | None, keys: list[str]) -> dict[str, list[int]]:
    people = Subscriber.objects.filter(address_key__in=keys)
    if organization is not None:
        people = people.filter(organization_id=organization.pk)
    by_key: dict[str, list[int]] = {}
    locked = people.order_by("id").select_for_update(no_key=True)
    for pk, key in locked.values_list("id", "address_key"):
        by_key.setdefault(key, []).append(pk)
    return by_key


def _stamp(people: dict[str, list[int]], requests: list[SuppressionRequest]) -> None:
    everybody = sorted({pk for pks in people.values() for pk in pks})
    Subscriber.objects.filter(pk__in=everybody).update(opted_out_at=Now(), updated_at=Now())
    by_status: dict[SubscriberStatus, list[int]] = {}
    for request in requests:
        status = STATUS_OF.get(SuppressionReason(request.reason))
        if status is not None and request.scope != SuppressionScope.LIST:
            by_status.setdefault(status, []).extend(people.get(request.address_key, []))
    for lowered, weaker in WEAKER_THAN.items():
        Subscriber.objects.filter(pk__in=by_status.get(lowered, []), status__in=weaker).update(status=lowered)


@transaction.atomic
def suppress_by_hand(
    *,
    organization: Organization,
    email: str,
    scope: str,
    note: str = "",
    list_id: int | None = None,
    actor: User | None,
) -> Suppression:
    """Stop mail to an address because somebody asked for it outside of our mails. Raises InvalidAddress."""
    key = canonical(email).key
    if scope == SuppressionScope.LIST and not List.objects.filter(pk=list_id or 0, organization=organization).exists():
        raise InvalidInput(_("Choose the list."))
    suppress(
        organization=organization,
        address_key=key,
        scope=scope,
        reason=SuppressionReason.MANUAL,
        source=note,
        at=timezone.now(),
        list_id=list_id if scope == SuppressionScope.LIST else None,
    )
    entry = Suppression.objects.for_organization(organization).filter(address_key=key, scope=scope).latest("id")
    record(organization=organization, actor=actor, action="suppression.added", target=entry, scope=scope)
    return entry


@transaction.atomic
def lift_suppression(*, suppression: Suppression, actor: User | None = None) -> None:
    """Take an address off the suppression list. A person who had bounced becomes active again.

    Raises Conflict for a complaint, and for the platform's own entries.
    """
    if suppression.reason == SuppressionReason.COMPLAINT:
        raise Conflict(_("A complaint can't be lifted: the person told their mail provider that we send spam."))
    if suppression.organization_id is None:
        raise Conflict(_("This address is suppressed for the whole installation. Ask its operator."))
    people = Subscriber.objects.filter(
        organization_id=suppression.organization_id, address_key=suppression.address_key
    ).select_for_update(no_key=True)
    person = people.first()
    owner = Organization.objects.get(pk=suppression.organization_id)
    record(organization=owner, actor=actor, action="suppression.lifted", target=suppression, reason=suppression.reason)
    suppression.delete()
    if person is None or person.status != SubscriberStatus.BOUNCED:
        return
    bounced = Suppression.objects.filter(
        organization_id=person.organization_id,
        address_key=person.address_key,
        reason__in=[SuppressionReason.HARD_BOUNCE, SuppressionReason.INVALID],
    )
    if not bounced.exists():
        Subscriber.objects.filter(pk=person.pk).update(status=SubscriberStatus.ACTIVE, updated_at=Now())
