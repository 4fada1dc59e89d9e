"""People to try an email out on before it is sent: one ordinary, one without data, one whose data is hostile."""

from __future__ import annotations

from delivery.compiling.contract import AttributeType, Schema
from delivery.compiling.variables import Person

_ORDINARY: dict[AttributeType, object] = {
    AttributeType.TEXT: "Lisbon",
    AttributeType.NUMBER: 42,
    AttributeType.BOOLEAN: True,
    AttributeType.DATE: "2026-03-14",
    AttributeType.DATETIME: "2026-03-14T09:26:53+00:00",
    AttributeType.CHOICE: "gold",
    AttributeType.LIST: ["design", "travel", "music"],
}
_HOSTILE = '}}{{s0}}\\{{amazonSESUnsubscribeUrl}}{{ses:openTracker}}<b onclick="x">\'&\r\nBcc: a@example.com\\'


def sample_people(schema: Schema) -> list[Person]:
    """Make up the sample people of an organization."""
    ordinary = {name: _ORDINARY[kind] for name, kind in schema.attributes.items()}
    hostile: dict[str, object] = {
        name: _HOSTILE
        if kind == AttributeType.TEXT
        else [_HOSTILE] * 3
        if kind == AttributeType.LIST
        else _ORDINARY[kind]
        for name, kind in schema.attributes.items()
    }
    return [
        _person("ada@example.com", "Ada", "Lovelace", ["customer"], ordinary),
        _person("a@example.com", "", "", [], {}),
        _person("x@example.com", _HOSTILE, _HOSTILE, [_HOSTILE], hostile),
    ]


def _person(email: str, first: str, last: str, tags: list[str], attributes: dict[str, object]) -> Person:
    return {
        "email": email,
        "first_name": first,
        "last_name": last,
        "locale": "en",
        "time_zone": "Europe/Lisbon",
        "tags": tags,
        "attributes": attributes,
    }
