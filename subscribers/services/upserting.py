"""A person as a program knows them: added or changed by address, with the lists they chose."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from amazonsender.core.errors import Conflict
from organizations.models import Organization
from subscribers.models import ConsentRecord, Subscriber, SubscriberStatus, Subscription, SubscriptionState
from subscribers.selectors.people import find_by_address
from subscribers.services.consent import resubscribe, subscribe
from subscribers.services.subscribers import create_subscriber, update_subscriber


@dataclass(frozen=True)
class Consent:
    """How somebody opted in. `comes_back`: they asked for it again themselves after they had left."""

    at: datetime.datetime
    text: str = ""
    source: str = ""
    ip: str = ""
    user_agent: str = ""
    comes_back: bool = False


@dataclass(frozen=True)
class Upserted:
    """left_out: lists the person had left and was not put on again."""

    subscriber: Subscriber
    is_new: bool
    left_out: list[int]


@transaction.atomic
def upsert_subscriber(
    *, organization: Organization, email: str, fields: dict[str, Any], list_ids: Sequence[int] = (), consent: Consent
) -> Upserted:
    """Add the person, or change the fields that are given; then put them on the lists.

    Nobody who left comes back by this unless the consent says that they asked for it. Raises InvalidAddress,
    InvalidInput; Conflict when the same person is being added by somebody else for too long.
    """
    person, is_new = _add_or_change(organization, email, fields)
    left_out = join_lists(subscriber=person, list_ids=list_ids, consent=consent)
    person.refresh_from_db()
    return Upserted(person, is_new, left_out)


def _add_or_change(organization: Organization, email: str, fields: dict[str, Any]) -> tuple[Subscriber, bool]:
    known = find_by_address(organization, email)
    if known is None:
        try:
            return create_subscriber(organization=organization, email=email, **fields), True
        except Conflict:
            known = find_by_address(organization, email)  # somebody was faster
            if known is None:
                raise
    return update_subscriber(subscriber=known, **fields), False


@transaction.atomic
def join_lists(*, subscriber: Subscriber, list_ids: Sequence[int], consent: Consent) -> list[int]:
    """Put a person on lists; returns those they had left and stay off.

    Raises InvalidInput for a list that is not there, Conflict when somebody who complained or bounced shall come back.
    """
    how: dict[str, Any] = {
        "method": ConsentRecord.Method.API,
        "at": consent.at,
        "ip": consent.ip,
        "user_agent": consent.user_agent,
        "text": consent.text,
    }
    person = Subscriber.objects.select_for_update(no_key=True).get(pk=subscriber.pk)
    has_left = person.status == SubscriberStatus.UNSUBSCRIBED
    left = set(
        Subscription.objects.filter(
            subscriber=person, list_id__in=list_ids, state=SubscriptionState.UNSUBSCRIBED
        ).values_list("list_id", flat=True)
    )
    left_out = []
    for list_id in sorted(set(list_ids)):
        if list_id not in left and not has_left:
            subscribe(subscriber=person, list_id=list_id, source=consent.source, **how)
        elif consent.comes_back:
            resubscribe(subscriber=person, list_id=list_id, **how)
        else:
            left_out.append(list_id)
    return left_out
