"""Ten thousand people who do not exist, the same ones each time, on domains that can belong to nobody (RFC 2606)."""

from __future__ import annotations

import datetime
import random
from collections.abc import Iterator
from typing import NamedTuple

from campaigns.sample.names import LANGUAGES, SHARES, Names

PEOPLE = 10_000
DOMAINS = (
    "example.com",
    "example.org",
    "example.net",
    "mail.example",
    "post.example",
    "cafe.example",
    "university.example",
    "bücher.example",
)
DOMAIN_SHARES = (34, 17, 13, 14, 10, 6, 4, 2)
FAVOURITES = ("filter", "espresso", "cold brew", "decaf")
SEED = 20261125


class Person(NamedTuple):
    """A sample person. fate: active, unsubscribed, left_list, pending, bounced, complained or suppressed."""

    email: str
    first_name: str
    last_name: str
    locale: str
    time_zone: str
    attributes: dict[str, object]
    tags: list[str]
    fate: str
    is_loyal: bool
    wants_news: bool
    is_wholesale: bool


# Of a hundred people: most can be mailed, and every reason not to is there to be seen.
FATES = (
    ("active", 94.2),
    ("unsubscribed", 1.6),
    ("left_list", 1.3),
    ("pending", 1.2),
    ("bounced", 1.0),
    ("complained", 0.2),
    ("suppressed", 0.5),
)


def make_people(count: int = PEOPLE) -> Iterator[Person]:
    """Make people; the same count gives the same people."""
    chance = random.Random(SEED)  # noqa: S311 - sample data, repeatable on purpose
    words, weights = zip(*FATES, strict=True)
    for number in range(1, count + 1):
        language = chance.choices(LANGUAGES, SHARES)[0]
        first, last = chance.choice(language.first), chance.choice(language.last)
        has_name = chance.random() > 0.02  # some never said who they are
        yield Person(
            email=f"{_local(chance, first[1], last[1], number)}@{chance.choices(DOMAINS, DOMAIN_SHARES)[0]}",
            first_name=first[0] if has_name else "",
            last_name=last[0] if has_name else "",
            locale=language.locale,
            time_zone=language.time_zone,
            attributes=_attributes(chance, language),
            tags=["early"] if chance.random() < 0.1 else [],
            fate=chance.choices(words, weights)[0],
            is_loyal=chance.random() < 0.24,
            wants_news=chance.random() < 0.4,
            is_wholesale=chance.random() < 0.015,
        )


def _local(chance: random.Random, first: str, last: str, number: int) -> str:
    style = chance.randrange(4)
    if style == 0:
        return f"{first}.{last}{number}"
    if style == 1:
        return f"{first[0]}.{last}.{number}"
    if style == 2:
        return f"{last}{number}"
    return f"{first}{number}+coffee" if chance.random() < 0.1 else f"{first}.{number}"


def _attributes(chance: random.Random, language: Names) -> dict[str, object]:
    values: dict[str, object] = {"city": chance.choice(language.cities)} if chance.random() < 0.71 else {}
    if chance.random() < 0.64:
        since = datetime.date(2019, 1, 1) + datetime.timedelta(days=chance.randrange(2800))
        values |= {"customer_since": since.isoformat(), "points": chance.randrange(0, 1500, 10)}
    if chance.random() < 0.5:
        values["favourite"] = chance.choice(FAVOURITES)
    return values
