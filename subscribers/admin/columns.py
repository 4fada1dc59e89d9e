"""The table of columns: what the file says, what each becomes, and of which kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from subscribers.models import AttributeType, Import
from subscribers.selectors.people import attributes_of
from subscribers.services.importing.guessing import key_from
from subscribers.services.importing.plan import ATTRIBUTE, FIELDS
from subscribers.services.importing.sniffing import FileShape

_SAMPLES = 3
_DATES = (
    ("date|%Y-%m-%d", "2026-12-31"),
    ("date|%d.%m.%Y", "31.12.2026"),
    ("date|%d/%m/%Y", "31/12/2026"),
    ("date|%m/%d/%Y", "12/31/2026"),
)


@dataclass(frozen=True)
class ColumnRow:
    """One row of the table."""

    index: int
    column: str
    samples: list[str]
    field: str
    kind: str
    choices: list[tuple[str, str | Promise]]
    is_typed: bool  # a new field, whose kind is still to be chosen
    kind_label: str | Promise


def column_rows(run: Import, shape: FileShape) -> list[ColumnRow]:
    """Return the rows with their choices."""
    attributes = attributes_of(run.organization)
    known = {f"{ATTRIBUTE}{one.key}": one for one in attributes}
    existing: list[tuple[str, str | Promise]] = [(field, str(one)) for field, one in known.items()]
    rows = []
    for index, entry in enumerate(run.mapping):
        column = shape.columns[index] if index < len(shape.columns) else entry["column"]
        field = entry.get("field", "")
        new = (
            field if field.startswith(ATTRIBUTE) and field not in known else f"{ATTRIBUTE}{key_from(column) or 'field'}"
        )
        choices: list[tuple[str, str | Promise]] = [("", _("Leave out")), *FIELDS.items(), *existing]
        if new not in known:
            choices.append((new, _("New field “%(key)s”") % {"key": new.removeprefix(ATTRIBUTE)}))
        label: str | Promise = known[field].get_type_display() if field in known else FIELDS.get(field, "–")
        rows.append(
            ColumnRow(
                index=index,
                column=column,
                samples=[row[index][:40] for row in shape.samples[:_SAMPLES] if index < len(row)],
                field=field,
                kind=_kind(entry),
                choices=choices,
                is_typed=field not in known and field not in FIELDS,
                kind_label=label,
            )
        )
    return rows


def kind_choices() -> list[tuple[str, str]]:
    """Return what a new field may be; dates with the order in which the file writes them."""
    dates = [(value, _("Date, %(example)s") % {"example": example}) for value, example in _DATES]
    plain = [
        (kind.value, str(kind.label))
        for kind in AttributeType
        if kind not in (AttributeType.DATE, AttributeType.CHOICE)
    ]
    return [*plain[:3], *dates, *plain[3:]]


def _kind(entry: Mapping[str, Any]) -> str:
    kind = str(entry.get("type") or AttributeType.TEXT)
    if kind == AttributeType.DATE:
        wanted = f"date|{entry.get('format') or '%Y-%m-%d'}"
        return wanted if wanted in dict(_DATES) else _DATES[0][0]
    return kind


def read_mapping(mapping: Sequence[Mapping[str, Any]], posted: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the mapping as the form says; columns it doesn't mention stay."""
    changed = []
    for index, entry in enumerate(mapping):
        field = posted.get(f"field-{index}", entry.get("field", ""))
        kind, _bar, date_format = posted.get(f"kind-{index}", "").partition("|")
        changed.append(
            {
                "column": entry["column"],
                "field": field,
                "type": kind or entry.get("type", ""),
                "format": date_format if kind else entry.get("format", ""),
            }
        )
    return changed
