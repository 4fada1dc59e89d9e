"""What is sent in, decided by the seed alone, and what it must have become. Documents are made when they are sent."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import orjson

from delivery.models import EventType
from tests.delivery.events.notifications import event

HOURS = 36  # over which events are spread, so that there are several days
_CAPTURED = {
    EventType.SENT: "send",
    EventType.DELIVERED: "delivery",
    EventType.BOUNCED: "bounce",
    EventType.DEFERRED: "delivery_delay",
    EventType.COMPLAINED: "complaint",
    EventType.REJECTED: "reject",
    EventType.OPENED: "open",
    EventType.CLICKED: "click",
}


class Fact(NamedTuple):
    """One event of one message. at: whole seconds, as readers' events are kept."""

    mailout_id: int
    n: int
    type: EventType
    sent_at: datetime
    at: datetime


def address(n: int) -> str:
    """Of the n-th person, who is the n-th of each mailout."""
    return f"p{n}@d{domain_number(n)}.example.com"


def domain_number(n: int) -> int:
    return 1 + n % 40


def make_facts(mailout_id: int, count: int, seed: str) -> list[Fact]:
    """So many events of one mailout's people, from the first on, in the order in which they happened to each."""
    dice = random.Random(f"{seed}:{mailout_id}")
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS + 2)
    facts: list[Fact] = []
    n = 0
    while len(facts) < count:
        n += 1
        sent_at = start + timedelta(seconds=dice.randrange(HOURS * 3600))
        facts += [Fact(mailout_id, n, type_, sent_at, sent_at + delay) for type_, delay in _life(dice)]
    return facts[:count]


def _life(dice: random.Random) -> list[tuple[EventType, timedelta]]:
    """What happens to one message, and how long after it was sent."""
    found = [(EventType.SENT, timedelta())]
    if dice.random() < 0.01:
        return [*found, (EventType.REJECTED, timedelta())]
    if dice.random() < 0.03:
        found.append((EventType.DEFERRED, timedelta(seconds=dice.randrange(1, 600))))
    fate = dice.random()
    if fate < 0.03:
        return [*found, (EventType.BOUNCED, timedelta(seconds=dice.randrange(1, 3600)))]
    if fate < 0.05:
        return found
    delivered = timedelta(seconds=dice.randrange(1, 1200))
    found.append((EventType.DELIVERED, delivered))
    opens = [(EventType.OPENED, delivered + timedelta(seconds=k * 900 + dice.randrange(60, 800))) for k in range(3)]
    found += opens[: dice.choices((0, 1, 2, 3), (65, 25, 7, 3))[0]]
    if dice.random() < 0.06:
        found.append((EventType.CLICKED, delivered + timedelta(seconds=dice.randrange(60, 4000))))
    if dice.random() < 0.005:
        found.append((EventType.COMPLAINED, delivered + timedelta(seconds=dice.randrange(60, 4000))))
    return found


def document(fact: Fact) -> bytes:
    """SES's own document."""
    made = event(
        _CAPTURED[fact.type],
        mailout_id=fact.mailout_id,
        n=fact.n,
        to=address(fact.n),
        body={} if fact.type in (EventType.SENT, EventType.REJECTED) else {"timestamp": _written(fact.at)},
        messageId=provider_id(fact.mailout_id, fact.n),
        timestamp=_written(fact.sent_at),
    )
    return orjson.dumps(made)


def provider_id(mailout_id: int, n: int) -> str:
    return f"ses-{mailout_id}-{n}"


def _written(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.000Z"


Totals = dict[tuple[object, int], tuple[int, int]]  # dimension and type: events, messages


class Expected:
    """What the ledger, the roll-ups and the report must say of one mailout."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        told = [fact for fact in facts if fact.type != EventType.SENT]
        self.events = Counter((fact.n, fact.type.value, fact.at) for fact in told)
        self.first: dict[tuple[int, int], datetime] = {}
        for n, type_, at in self.events:
            self.first[n, type_] = min(at, self.first.get((n, type_), at))

    def people(self, type_: EventType) -> set[int]:
        """Those of whom it is told."""
        return {n for n, known in self.first if known == type_}

    def by_email(self) -> Totals:
        return self._sums(lambda n, at: 0)

    def by_hour(self) -> Totals:
        return self._sums(lambda n, at: at.replace(minute=0, second=0))

    def by_day(self) -> Totals:
        return self._sums(lambda n, at: at.date())

    def by_domain(self) -> Totals:
        return self._sums(lambda n, at: domain_number(n))

    def _sums(self, place: Callable[[int, datetime], object]) -> Totals:
        events = Counter((place(n, at), type_) for n, type_, at in self.events)
        messages = Counter((place(n, at), type_) for (n, type_), at in self.first.items())
        return {key: (count, messages[key]) for key, count in events.items()}
