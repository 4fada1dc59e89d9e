"""Typed values of attributes: what a form, a file or the API hands in, as the JSON that is stored."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils.translation import gettext as _

from amazonsender.core.errors import InvalidInput
from subscribers.models import AttributeDefinition, AttributeType

JsonValue = str | int | float | bool | list[str]

MAX_TEXT = 5_000
MAX_ITEMS = 100
YES = frozenset({"yes", "y", "true", "t", "1", "on", "да", "истина", "ja", "wahr", "oui", "vrai", "sí", "si", "x", "✓"})
NO = frozenset({"no", "n", "false", "f", "0", "off", "нет", "ложь", "nein", "falsch", "non", "faux"})
DATE_FORMATS = ("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%d.%m.%y", "%Y%m%d")

_is_whole = re.compile(r"-?(?:0|[1-9][0-9]{0,14})").fullmatch
_not_text = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class BadValueError(ValueError):
    """The text does not fit the type."""


def clean_text(text: str) -> str:
    """Drop control characters (PostgreSQL refuses NUL) and the space around."""
    return _not_text.sub("", text).strip().replace("\r\n", "\n").replace("\r", "\n")


def clean_line(text: str) -> str:
    """Like clean_text, for what stands in headers and greetings: no line breaks either."""
    return " ".join(_not_text.sub("", text).split())


def parse_text(text: str) -> str:
    value = clean_text(text)
    if len(value) > MAX_TEXT:
        raise BadValueError
    return value


def parse_number(text: str) -> int | float:
    """Read 1240, -3.5, 1 240,50 and 1,240.50. A lone comma is a decimal one, as in most of Europe.

    Two separators: the last is the decimal one. One comma followed by exactly three digits is a thousand's.
    """
    if _is_whole(text):
        return int(text)
    plain = re.sub(r"[\s\u00a0\u202f'’_]", "", text)
    if "," in plain and "." in plain:
        decimal = max(plain.rfind(","), plain.rfind("."))
        plain = re.sub(r"[,.]", "", plain[:decimal]) + "." + plain[decimal + 1 :]
    elif plain.count(",") > 1 or re.fullmatch(r"-?[1-9][0-9]{0,2},[0-9]{3}", plain):
        plain = plain.replace(",", "")
    else:
        plain = plain.replace(",", ".")
    try:
        number = Decimal(plain)
    except InvalidOperation:
        raise BadValueError from None
    if not number.is_finite() or abs(number) >= Decimal(10) ** 15:
        raise BadValueError
    return int(number) if number == number.to_integral_value() else float(number)


def parse_boolean(text: str) -> bool:
    word = text.strip().casefold()
    if word in YES:
        return True
    if word in NO:
        return False
    raise BadValueError


def parse_date(text: str, date_format: str = "") -> str:
    """Return the ISO date. With a format only that one is read; otherwise the first of DATE_FORMATS that fits."""
    for known in (date_format,) if date_format else DATE_FORMATS:
        try:
            parsed = datetime.datetime.strptime(text.strip(), known).replace(tzinfo=datetime.UTC)
        except ValueError:
            continue
        if not 1 <= parsed.year - 1000 < 9000:
            raise BadValueError
        return parsed.date().isoformat()
    raise BadValueError


def parse_datetime(text: str, date_format: str = "") -> str:
    """Return an ISO date and time with its offset; without one it is UTC."""
    value = text.strip()
    try:
        parsed = datetime.datetime.fromisoformat(value)
    except ValueError:
        day, _space, clock = value.partition(" ")
        try:
            parsed = datetime.datetime.fromisoformat(f"{parse_date(day, date_format)}T{clock.strip() or '00:00'}")
        except ValueError:
            raise BadValueError from None
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=datetime.UTC)
    return parsed.isoformat()


def parse_list(text: str) -> list[str]:
    """Read `a, b; c` as three items, without repeats."""
    items = [clean_line(item) for item in re.split(r"[,;|\n]", text)]
    unique = list(dict.fromkeys(item for item in items if item))
    if len(unique) > MAX_ITEMS:
        raise BadValueError
    return unique


def parser_for(
    attribute_type: str, *, choices: Sequence[str] = (), date_format: str = ""
) -> Callable[[str], JsonValue]:
    """Return the function that reads a text as this type, or raises BadValueError."""
    if attribute_type == AttributeType.CHOICE and choices:
        by_word = {choice.casefold(): choice for choice in choices}

        def parse_choice(text: str) -> str:
            try:
                return by_word[text.strip().casefold()]
            except KeyError:
                raise BadValueError from None

        return parse_choice
    parsers: dict[str, Callable[[str], JsonValue]] = {
        AttributeType.NUMBER: parse_number,
        AttributeType.BOOLEAN: parse_boolean,
        AttributeType.DATE: lambda text: parse_date(text, date_format),
        AttributeType.DATETIME: lambda text: parse_datetime(text, date_format),
        AttributeType.LIST: parse_list,
    }
    return parsers.get(attribute_type, parse_text)


def validate_attributes(
    values: Mapping[str, Any], definitions: Mapping[str, AttributeDefinition]
) -> dict[str, JsonValue]:
    """Check values by the organization's definitions and return what is stored; None and "" drop the key.

    Raises InvalidInput that names the attribute.
    """
    stored: dict[str, JsonValue] = {}
    for key, value in values.items():
        definition = definitions.get(key)
        if definition is None:
            raise InvalidInput(_("There is no attribute “%(key)s”.") % {"key": key})
        if value is None or value == "":
            continue
        try:
            stored[key] = _typed(value, definition)
        except BadValueError:
            raise InvalidInput(
                _("“%(value)s” does not fit “%(attribute)s” (%(type)s).")
                % {"value": str(value)[:80], "attribute": definition, "type": definition.get_type_display()}
            ) from None
    return stored


def _typed(value: Any, definition: AttributeDefinition) -> JsonValue:
    """Let values pass that have the type already (the API sends JSON); read everything else as text."""
    kind = definition.type
    if kind == AttributeType.LIST and isinstance(value, list):
        return parse_list("\n".join(str(item) for item in value))
    if kind == AttributeType.BOOLEAN and isinstance(value, bool):
        return value
    if isinstance(value, bool | list | dict):
        raise BadValueError
    return parser_for(kind, choices=definition.choices)(str(value))
