"""What becomes of each column: the mapping as a person confirmed it, checked and ready for the row builder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from amazonsender.core.errors import InvalidInput
from subscribers.models import AttributeDefinition, AttributeType
from subscribers.services.attributes import check_key

FIELDS: Final[dict[str, str | Promise]] = {
    "email": gettext_lazy("Address"),
    "first_name": gettext_lazy("First name"),
    "last_name": gettext_lazy("Last name"),
    "name": gettext_lazy("First and last name"),
    "locale": gettext_lazy("Language"),
    "time_zone": gettext_lazy("Time zone"),
    "tags": gettext_lazy("Tags"),
}
ATTRIBUTE: Final = "attribute:"


@dataclass(frozen=True)
class AttributeColumn:
    """A column that becomes an attribute."""

    index: int
    key: str
    type: str
    column: str
    choices: tuple[str, ...] = ()
    date_format: str = ""


@dataclass(frozen=True)
class Plan:
    """Where each field is found in a row; -1 where the file has none."""

    width: int
    fields: Mapping[str, int]
    attributes: tuple[AttributeColumn, ...]
    columns: tuple[str, ...]

    def index(self, field: str) -> int:
        return self.fields.get(field, -1)


def make_plan(mapping: Sequence[Mapping[str, Any]], definitions: Mapping[str, AttributeDefinition]) -> Plan:
    """Turn the stored mapping into a plan. An attribute that exists keeps its type, whatever the mapping says.

    Raises InvalidInput when no column is the address, when two columns become the same, or a field is unknown.
    """
    fields: dict[str, int] = {}
    attributes: list[AttributeColumn] = []
    for index, entry in enumerate(mapping):
        field = str(entry.get("field") or "")
        column = str(entry.get("column") or "")
        if not field:
            continue
        if field in fields or any(f"{ATTRIBUTE}{one.key}" == field for one in attributes):
            raise InvalidInput(_("Two columns become the same field. “%(column)s” is the second.") % {"column": column})
        if field in FIELDS:
            fields[field] = index
        elif field.startswith(ATTRIBUTE):
            attributes.append(_attribute_column(index, field.removeprefix(ATTRIBUTE), entry, definitions))
        else:
            raise InvalidInput(_("There is no field “%(field)s”.") % {"field": field})
    if "email" not in fields:
        raise InvalidInput(_("No column holds the address. Choose the one that does."))
    columns = tuple(str(entry.get("column") or "") for entry in mapping)
    return Plan(len(mapping), fields, tuple(attributes), columns)


def _attribute_column(
    index: int, key: str, entry: Mapping[str, Any], definitions: Mapping[str, AttributeDefinition]
) -> AttributeColumn:
    column = str(entry.get("column") or "")
    date_format = str(entry.get("format") or "")
    definition = definitions.get(key)
    if definition is not None:
        return AttributeColumn(index, key, definition.type, column, tuple(definition.choices), date_format)
    kind = str(entry.get("type") or AttributeType.TEXT)
    if kind not in AttributeType.values:
        raise InvalidInput(_("There is no such type of attribute."))
    return AttributeColumn(index, check_key(key), kind, column, (), date_format)
