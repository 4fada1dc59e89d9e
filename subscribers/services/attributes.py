"""Typed fields that an organization defines for its subscribers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext as _

from amazonsender.core.errors import Conflict, InvalidInput
from organizations.models import Organization, User
from organizations.services.audit import record
from subscribers.models import AttributeDefinition, AttributeType
from subscribers.values import clean_line

MAX_ATTRIBUTES = 200
LONGEST_CHOICE = 120
# Variables of an email with these names are the person's own fields; an attribute must not hide them.
RESERVED: Final = frozenset(
    {"email", "first_name", "last_name", "name", "locale", "time_zone", "tags", "status", "attributes", "id"}
)
_is_key = re.compile(r"[a-z][a-z0-9_]{0,59}").fullmatch


def check_key(key: str) -> str:
    """Return the key if templates can use it as a variable, else raise InvalidInput."""
    if not _is_key(key):
        raise InvalidInput(_("A key is a small Latin letter, then small letters, digits and underscores."))
    if key in RESERVED:
        raise InvalidInput(_("“%(key)s” is a field that every subscriber has.") % {"key": key})
    return key


def require_room(present: int, *, adding: int) -> None:
    """Raise InvalidInput when an organization with ``present`` attributes can't have ``adding`` more."""
    if adding and present + adding > MAX_ATTRIBUTES:
        raise InvalidInput(_("An organization can have at most 200 attributes."))


def create_attribute(
    *,
    organization: Organization,
    key: str,
    label: str = "",
    type: str = AttributeType.TEXT,  # noqa: A002 - the field's name
    choices: Sequence[str] = (),
) -> AttributeDefinition:
    """Define an attribute. Raises Conflict when the key is taken, InvalidInput when it can't be one."""
    check_key(key)
    if type not in AttributeType.values:
        raise InvalidInput(_("There is no such type of attribute."))
    require_room(AttributeDefinition.objects.for_organization(organization).count(), adding=1)
    try:
        with transaction.atomic():
            return AttributeDefinition.objects.create(
                organization=organization,
                key=key,
                label=clean_line(label)[:120],
                type=type,
                choices=_clean_choices(choices),
            )
    except IntegrityError:
        raise Conflict(_("There is already an attribute with this key.")) from None


def update_attribute(
    *, attribute: AttributeDefinition, label: str, choices: Sequence[str] | None = None
) -> AttributeDefinition:
    """Change how an attribute is called and, of a choice, what can be chosen; values that people have stay."""
    attribute.label = clean_line(label)[:120]
    if choices is not None:
        attribute.choices = _clean_choices(choices)
    attribute.save(update_fields=["label", "choices"])
    return attribute


def _clean_choices(choices: Sequence[str]) -> list[str]:
    cleaned = list(dict.fromkeys(line for line in map(clean_line, choices) if line))
    if any(len(line) > LONGEST_CHOICE for line in cleaned):
        raise InvalidInput(_("A choice has at most 120 characters."))
    return cleaned


@transaction.atomic
def delete_attribute(*, attribute: AttributeDefinition, actor: User | None = None) -> int:
    """Delete an attribute and its values; return how many people had one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE subscribers_subscriber SET attributes = attributes - %s, updated_at = now() "
            "WHERE organization_id = %s AND attributes ? %s",
            [attribute.key, attribute.organization_id, attribute.key],
        )
        changed: int = cursor.rowcount
    record(
        organization=attribute.organization, actor=actor, action="attribute.deleted", target=attribute, people=changed
    )
    attribute.delete()
    return changed
