"""People: adding, changing and deleting them one by one. Files of them come through `importing`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from amazonsender.core.errors import Conflict, InvalidInput
from organizations.models import Organization, User
from organizations.models.organization import validate_time_zone
from organizations.services.audit import record
from organizations.services.idempotency import forget_answers_about
from subscribers.addresses import canonical
from subscribers.models import (
    AttributeDefinition,
    Subscriber,
    SubscriberStatus,
    SuppressionReason,
    SuppressionScope,
)
from subscribers.services.domains import get_domain_ids
from subscribers.services.suppressing import suppress
from subscribers.values import clean_line, validate_attributes

MAX_TAGS = 50
_REASON_OF = {
    SubscriberStatus.UNSUBSCRIBED: (SuppressionScope.MARKETING, SuppressionReason.UNSUBSCRIBE),
    SubscriberStatus.BOUNCED: (SuppressionScope.ALL, SuppressionReason.HARD_BOUNCE),
    SubscriberStatus.COMPLAINED: (SuppressionScope.ALL, SuppressionReason.COMPLAINT),
}


@transaction.atomic
def create_subscriber(
    *,
    organization: Organization,
    email: str,
    first_name: str = "",
    last_name: str = "",
    locale: str = "",
    time_zone: str = "",
    attributes: Mapping[str, Any] | None = None,
    tags: Iterable[str] = (),
    is_sample: bool = False,
) -> Subscriber:
    """Add a person. Raises InvalidAddress, InvalidInput, or Conflict when the address is taken."""
    address = canonical(email)
    person = Subscriber(
        organization=organization,
        email=address.written,
        address_key=address.key,
        domain_id=get_domain_ids(names=[address.domain])[address.domain],
        first_name=clean_name(first_name),
        last_name=clean_name(last_name),
        locale=clean_line(locale)[:12],
        time_zone=check_time_zone(time_zone),
        attributes=validate_attributes(attributes or {}, definitions_of(organization)),
        tags=clean_tags(tags),
        is_sample=is_sample,
    )
    _save_once(person)
    return person


@transaction.atomic
def update_subscriber(*, subscriber: Subscriber, **changes: Any) -> Subscriber:
    """Change fields of a person; a changed address also stamps `opted_out_at`.

    `changes` may hold email, first_name, last_name, locale, time_zone, tags, and attributes, which are merged: a value
    of None or "" removes the attribute.
    """
    person = Subscriber.objects.select_for_update(no_key=True).select_related("organization").get(pk=subscriber.pk)
    if "email" in changes:
        _change_address(person, changes.pop("email"))
    for name in ("first_name", "last_name"):
        if name in changes:
            setattr(person, name, clean_name(changes.pop(name)))
    if "locale" in changes:
        person.locale = clean_line(changes.pop("locale"))[:12]
    if "time_zone" in changes:
        person.time_zone = check_time_zone(changes.pop("time_zone"))
    if "tags" in changes:
        person.tags = clean_tags(changes.pop("tags"))
    if "attributes" in changes:
        given = changes.pop("attributes")
        kept = {key: value for key, value in person.attributes.items() if key not in given}
        person.attributes = kept | validate_attributes(given, definitions_of(person.organization))
    if changes:
        raise TypeError(f"unknown fields: {', '.join(sorted(changes))}")
    _save_once(person)
    return person


@transaction.atomic
def delete_subscriber(*, subscriber: Subscriber, actor: User | None = None) -> None:
    """Delete a person with their subscriptions, consent records and engagement.

    Whoever had left, bounced or complained leaves a suppression behind, so that no later import brings them back.
    Answers that the API would repeat to an Idempotency-Key are forgotten where they show the person.
    """
    person = Subscriber.objects.select_for_update().select_related("organization").get(pk=subscriber.pk)
    kept = _REASON_OF.get(SubscriberStatus(person.status))
    if kept is not None:
        scope, reason = kept
        suppress(
            organization=person.organization,
            address_key=person.address_key,
            scope=scope,
            reason=reason,
            source="deleted subscriber",
            at=timezone.now(),
        )
    forget_answers_about(organization=person.organization, emails={person.email, person.address_key})
    record(organization=person.organization, actor=actor, action="subscriber.deleted", target=person)
    person.delete()


def _change_address(person: Subscriber, email: str) -> None:
    """Set the new address. The engine must look again at messages that are frozen to the old one."""
    address = canonical(email)
    if address.key != person.address_key:
        person.address_key = address.key
        person.domain_id = get_domain_ids(names=[address.domain])[address.domain]
        person.opted_out_at = Now()  # an expression: the database's clock
        if person.status == SubscriberStatus.BOUNCED:
            person.status = SubscriberStatus.ACTIVE  # the old mailbox bounced, not the new one
    person.email = address.written


def _save_once(person: Subscriber) -> None:
    try:
        with transaction.atomic():
            person.save()
    except IntegrityError:
        raise Conflict(_("%(email)s is already among the subscribers.") % {"email": person.email}) from None


def definitions_of(organization: Organization) -> dict[str, AttributeDefinition]:
    """Return the organization's attributes by key."""
    return {one.key: one for one in AttributeDefinition.objects.for_organization(organization)}


def clean_name(name: str) -> str:
    value = clean_line(name)
    if len(value) > 120:
        raise InvalidInput(_("A name can't be longer than 120 characters."))
    return value


def clean_tags(tags: Iterable[str]) -> list[str]:
    """Return the tags without repeats and empty ones."""
    unique = list(dict.fromkeys(filter(None, (clean_line(tag) for tag in tags))))
    if len(unique) > MAX_TAGS or any(len(tag) > 60 for tag in unique):
        raise InvalidInput(_("At most 50 tags of 60 characters each."))
    return unique


def check_time_zone(name: str) -> str:
    """Return the name of a time zone that exists, or ""."""
    value = clean_line(name)
    if value:
        try:
            validate_time_zone(value)
        except ValidationError as error:
            raise InvalidInput(" ".join(error.messages)) from None
    return value
