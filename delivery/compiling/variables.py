"""The names an author can use, and where their values come from.

A person is a dictionary: email, first_name, last_name, locale, time_zone, tags (a list) and attributes (a dictionary).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from delivery.compiling.escaping import MANAGE, TRACK

Person: TypeAlias = Mapping[str, object]

FIELDS: Final = ("email", "first_name", "last_name", "name", "locale", "time_zone", "tags")
ORGANIZATION: Final = ("name", "postal_address", "website")
URLS: Final = ("unsubscribe_url", "preferences_url", "web_view_url")

Source: TypeAlias = tuple[str, str]
"""Where a value is: ("field", name), ("attribute", name), or ("whole", "") for all attributes."""

WHOLE: Final[Source] = ("whole", "")


def urls_for(public_url: str) -> dict[str, str]:
    """Build the addresses every email may link to, with marks in place of the tokens."""
    return {
        "unsubscribe_url": f"{public_url}/u/{MANAGE}",
        "preferences_url": f"{public_url}/p/{MANAGE}",
        "web_view_url": f"{public_url}/v/{TRACK}",
    }


def source_of(path: tuple[str, ...]) -> Source | None:
    """Find the value a variable reads. None: it is the same for everybody (organization, addresses) or no value."""
    if path and path[0] == "subscriber":
        path = path[1:]
        if not path:
            return WHOLE
    if not path:
        return WHOLE
    root = path[0]
    if root == "attributes":
        return ("attribute", path[1]) if len(path) > 1 else WHOLE
    if root in FIELDS:
        return ("field", root)
    if root == "organization" or root in URLS:
        return None
    return ("attribute", root)


def plain_source(path: tuple[str, ...]) -> Source | None:
    """Find the value of a variable that needs no logic to read; None when it does."""
    bare = path[1:] if path[:1] == ("subscriber",) else path
    if len(bare) == 1 and bare[0] not in ("attributes", "organization", *URLS):
        return source_of(bare)
    if len(bare) == 2 and bare[0] == "attributes":
        return source_of(bare)
    return None


def full_name(person: Person) -> str:
    """Join first and last name."""
    return f"{person.get('first_name') or ''} {person.get('last_name') or ''}".strip()


def attributes_of(person: Person) -> Mapping[str, object]:
    """Return a person's attributes, empty when there are none."""
    attributes = person.get("attributes")
    return attributes if isinstance(attributes, Mapping) else {}
