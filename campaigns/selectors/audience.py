"""Lists to choose from, and a few of the people behind a choice."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.cache import cache
from django.db.models import Count, Exists, OuterRef

from delivery.selectors.audience import Audience
from organizations.models import Organization
from subscribers.models import List, Subscriber, SubscriberStatus, Subscription, SubscriptionState

COUNT_SECONDS = 60  # counting a list of a million takes a tenth of a second


@dataclass(frozen=True)
class ListChoice:
    """A list and how many people are subscribed to it."""

    list: List
    people: int


def lists_with_people(organization: Organization) -> list[ListChoice]:
    """All lists of an organization by name. The numbers may be a minute old."""
    lists = list(List.objects.for_organization(organization).order_by("name"))
    key = f"list-people:{organization.pk}:{','.join(str(entry.pk) for entry in lists)}"
    people: dict[int, int] | None = cache.get(key)
    if people is None:
        counted = (
            Subscription.objects.filter(list__in=lists, state=SubscriptionState.SUBSCRIBED)
            .values("list_id")
            .annotate(people=Count("pk"))
        )
        people = {row["list_id"]: row["people"] for row in counted}
        cache.set(key, people, COUNT_SECONDS)
    return [ListChoice(entry, people.get(entry.pk, 0)) for entry in lists]


def sample_people(
    organization: Organization, audience: Audience, *, after: int = 0, limit: int = 10
) -> list[Subscriber]:
    """A few people who are on the lists and mailable, in order of their ids."""
    if not audience.list_ids:
        return []
    on_lists = Subscription.objects.filter(subscriber=OuterRef("pk"), state=SubscriptionState.SUBSCRIBED)
    people = Subscriber.objects.for_organization(organization).filter(
        Exists(on_lists.filter(list_id__in=audience.list_ids)), status=SubscriberStatus.ACTIVE, pk__gt=after
    )
    if audience.excluded_list_ids:
        people = people.filter(~Exists(on_lists.filter(list_id__in=audience.excluded_list_ids)))
    return list(people.order_by("pk")[:limit])


def preview_people(organization: Organization, *, address: str = "", limit: int = 10) -> list[Subscriber]:
    """People to preview as: whose address begins like this, or the first active ones."""
    people = Subscriber.objects.for_organization(organization).filter(status=SubscriberStatus.ACTIVE)
    if address.strip():
        return list(people.filter(address_key__startswith=address.strip().lower()).order_by("address_key")[:limit])
    return list(people.order_by("pk")[:limit])
