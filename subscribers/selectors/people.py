"""Finding people, and everything their page shows."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from organizations.models import Organization
from subscribers.addresses import canonical, find_key
from subscribers.models import (
    AttributeDefinition,
    AttributeType,
    ConsentRecord,
    Subscriber,
    Subscription,
    SubscriptionState,
)
from subscribers.timeline import TimelineEvent, register_provider


def search_people(people: QuerySet[Subscriber], term: str) -> QuerySet[Subscriber]:
    """Narrow to people whose address starts so; if there are none, whose first or last name does.

    The address uses its index. Names have none (each index slows every import), so they are looked at only in the
    second place: half a second for a million people.
    """
    words = term.strip()
    if not words:
        return people
    exact = find_key(words)
    by_address = people.filter(address_key=exact) if exact else people.filter(address_key__startswith=words.lower())
    if by_address.exists():
        return by_address
    if exact:
        return people.filter(address_key__startswith=exact)
    first, _space, last = words.partition(" ")
    if last:
        return people.filter(
            Q(first_name__istartswith=first, last_name__istartswith=last)
            | Q(first_name__istartswith=last, last_name__istartswith=first)
        )
    return people.filter(Q(first_name__istartswith=words) | Q(last_name__istartswith=words))


def find_by_address(organization: Organization, email: str) -> Subscriber | None:
    """The organization's subscriber with this address, however it is written. Raises InvalidAddress."""
    people = Subscriber.objects.for_organization(organization).select_related("organization")
    return people.filter(address_key=canonical(email).key).first()


@dataclass(frozen=True)
class Membership:
    """A person's state on a list, with the record that led to it."""

    list_id: int
    name: str
    state: str
    consent: ConsentRecord | None

    @property
    def is_on(self) -> bool:
        return self.state == SubscriptionState.SUBSCRIBED


def memberships(subscriber: Subscriber) -> list[Membership]:
    """Return the person's lists: those they are on first, each with its latest consent record."""
    records: dict[int | None, ConsentRecord] = {}
    for record in ConsentRecord.objects.filter(subscriber=subscriber).order_by("at", "id"):
        records[record.list_id] = record
    everything = records.get(None)
    rows = Subscription.objects.filter(subscriber=subscriber).select_related("list").order_by("list__name")
    found = []
    for row in rows:
        consent = records.get(row.list_id)
        if row.state == SubscriptionState.UNSUBSCRIBED and everything is not None:
            consent = everything if consent is None or consent.at <= everything.at else consent
        found.append(Membership(row.list_id, row.list.name, row.state, consent))
    return sorted(found, key=lambda one: not one.is_on)


def attribute_rows(subscriber: Subscriber, definitions: Iterable[AttributeDefinition]) -> list[tuple[str, Any]]:
    """Return label and value of the person's attributes, in the order they were defined."""
    rows: list[tuple[str, Any]] = []
    for definition in definitions:
        value = subscriber.attributes.get(definition.key)
        if value in (None, "", []):
            continue
        if definition.type == AttributeType.BOOLEAN:
            value = _("yes") if value else _("no")
        elif definition.type == AttributeType.DATE:
            value = date_format(datetime.date.fromisoformat(value))
        elif isinstance(value, list):
            value = ", ".join(map(str, value))
        rows.append((str(definition), value))
    return rows


@register_provider
def consent_events(subscriber: Subscriber, limit: int) -> Iterable[TimelineEvent]:
    """Tell opt-ins and opt-outs."""
    records = ConsentRecord.objects.filter(subscriber=subscriber).select_related("list").order_by("-at", "-id")[:limit]
    for record in records:
        name = record.list.name if record.list else _("everything") if record.list_id is None else _("a deleted list")
        came = record.action == ConsentRecord.Action.OPT_IN
        words = _("Subscribed to %(list)s") if came else _("Unsubscribed from %(list)s")
        notes = [str(record.get_method_display()), record.source, record.text, record.reason]
        yield TimelineEvent(
            record.at,
            words % {"list": name},
            " · ".join(note for note in notes if note)[:400],
            "ok" if came else "warn",
            "consent",
        )


@register_provider
def own_events(subscriber: Subscriber, limit: int) -> Iterable[TimelineEvent]:
    """Tell when the person came to us."""
    yield TimelineEvent(subscriber.created_at, _("Added"), "", "edit", "change")


def attributes_of(organization: Organization) -> list[AttributeDefinition]:
    """Return the organization's attributes in the order they were defined."""
    return list(AttributeDefinition.objects.for_organization(organization).order_by("id"))
