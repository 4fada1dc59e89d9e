"""A fault: what goes wrong, for what, how often; and the JSON in which it is given and shown."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from localses.errors import EXCEPTIONS
from localses.model import Json

SENDS = frozenset({"SendEmail", "SendBulkEmail"})
EVENTS = ("SEND", "REJECT", "BOUNCE", "COMPLAINT", "DELIVERY", "DELIVERY_DELAY", "RENDERING_FAILURE")
# Why a single entry is not accepted: BulkEmailStatus, its words, and the exception with which SendEmail says the same.
# SendEmail has none for the last two: 500.
ENTRY_FAILURES: dict[str, tuple[str, str]] = {
    "MESSAGE_REJECTED": ("Message contents are not acceptable.", "MessageRejected"),
    "MAIL_FROM_DOMAIN_NOT_VERIFIED": ("Email address is not verified.", "MailFromDomainNotVerifiedException"),
    "CONFIGURATION_SET_NOT_FOUND": ("Configuration set does not exist.", "NotFoundException"),
    "TEMPLATE_NOT_FOUND": ("Template does not exist.", "NotFoundException"),
    "ACCOUNT_SUSPENDED": (EXCEPTIONS["AccountSuspendedException"][1], "AccountSuspendedException"),
    "ACCOUNT_THROTTLED": (EXCEPTIONS["TooManyRequestsException"][1], "TooManyRequestsException"),
    "ACCOUNT_DAILY_QUOTA_EXCEEDED": (EXCEPTIONS["LimitExceededException"][1], "LimitExceededException"),
    "INVALID_SENDING_POOL_NAME": ("Sending pool does not exist.", "NotFoundException"),
    "ACCOUNT_SENDING_PAUSED": (EXCEPTIONS["SendingPausedException"][1], "SendingPausedException"),
    "CONFIGURATION_SET_SENDING_PAUSED": ("Sending is paused for the configuration set.", "SendingPausedException"),
    "INVALID_PARAMETER": ("The input you provided is invalid.", "BadRequestException"),
    "TRANSIENT_FAILURE": ("The message could not be accepted; try again.", ""),
    "FAILED": ("The message could not be accepted.", ""),
}


class FaultError(ValueError):
    """A fault is described wrongly; the message says where."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a fault's description. `check` returns the value or raises ValueError with what it must be."""

    check: Callable[[Any], Any]
    default: Any = None
    is_required: bool = False


def _number(least: float, most: float = float("inf")) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise ValueError(f"a number from {least:g}" + (f" to {most:g}" if most < float("inf") else ""))
        return value

    return check


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return value

    return check


def _one_of(*allowed: Any) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if value not in allowed or isinstance(value, bool) is not isinstance(allowed[0], bool):
            raise ValueError("one of " + ", ".join(str(name) for name in allowed))
        return value

    return check


def _some_of(allowed: Iterable[str]) -> Callable[[Any], list[str]]:
    known = frozenset(allowed)

    def check(value: Any) -> list[str]:
        if not isinstance(value, list) or not value or not all(isinstance(v, str) and v in known for v in value):
            raise ValueError("a list of " + ", ".join(sorted(known)))
        return sorted(set(value))

    return check


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a text")
    return value


_MS = Member(_number(0), is_required=True)
_JITTER = Member(_number(0), 0)
_EVENTS = Member(_some_of(EVENTS), list(EVENTS))
_COMMON = {
    "name": Member(_text),
    "to": Member(_text, "*"),
    "share": Member(_number(0, 1), 1),
    "seed": Member(_text),
    "times": Member(_whole(1, 10**12)),
    "for_seconds": Member(_number(0)),
}
KINDS: dict[str, dict[str, Member]] = {
    "throttle": {},
    "daily_quota": {},
    "exception": {"code": Member(_one_of(*EXCEPTIONS), is_required=True), "message": Member(_text)},
    "error": {
        "when": Member(_one_of("before", "after"), is_required=True),
        "status": Member(_one_of(500, 502, 503, 504), 500),
    },
    "cut": {"when": Member(_one_of("before", "after", "answering"), is_required=True)},
    "latency": {"ms": _MS, "jitter_ms": _JITTER, "when": Member(_one_of("before", "after"), "after")},
    "slow_answer": {"ms": _MS},
    "entry_failure": {"status": Member(_one_of(*ENTRY_FAILURES), is_required=True), "error": Member(_text)},
    "account_paused": {},
    "account_suspended": {},
    "account_under_review": {},
    "identity_unverified": {"identity": Member(_text, "*")},
    "duplicate_events": {
        "events": _EVENTS,
        "copies": Member(_whole(1, 100), 1),
        "same_id": Member(_one_of(True, False), True),
        "ms": Member(_number(0), 0),
    },
    "late_events": {"events": _EVENTS, "ms": _MS, "jitter_ms": _JITTER},
    "reordered_events": {"gap_ms": Member(_number(0), 100)},
    "missing_events": {"events": _EVENTS},
}
# Some kinds exist in some operations only; the others disturb whatever Local SES has.
_OPERATIONS = {
    "account_under_review": frozenset({"GetAccount"}),
    **dict.fromkeys(
        ("entry_failure", "identity_unverified", *(name for name in KINDS if name.endswith("_events"))), SENDS
    ),
}


@dataclass(slots=True)
class Fault:
    """A fault that is set, with its own dice and its counts. `own` holds the members of its kind."""

    name: str
    kind: str
    own: Json
    operations: frozenset[str] = SENDS
    to: str = "*"
    share: float = 1
    seed: str = ""
    times: int | None = None
    for_seconds: float | None = None
    matched: int = 0
    fired: int = 0
    _until: float = field(init=False)
    _to: re.Pattern[str] = field(init=False)
    _dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        """Start its time and its dice."""
        self._until = float("inf") if self.for_seconds is None else time.monotonic() + self.for_seconds
        self._to = pattern(self.to)
        self._dice = random.Random(f"{self.seed}/{self.name}")  # noqa: S311 - faults on demand, no secret

    @property
    def is_active(self) -> bool:
        """Say whether it may still fire."""
        return (self.times is None or self.fired < self.times) and time.monotonic() < self._until

    def concerns(self, addresses: Iterable[str]) -> bool:
        """Say whether one of the bare addresses is in its scope."""
        return self.to == "*" or any(self._to.fullmatch(address) is not None for address in addresses)

    def disturbs_identity(self, name: str) -> bool:
        """Say whether an identity of this name is in its scope."""
        return pattern(self.own["identity"]).fullmatch(name) is not None

    def fires(self) -> bool:
        """Try it once, count that, and say whether it fires."""
        if not self.is_active:
            return False
        self.matched += 1
        if self.share < 1 and self._dice.random() >= self.share:
            return False
        self.fired += 1
        return True

    def seconds(self) -> float:
        """Return its milliseconds, jitter included, in seconds."""
        return float(self.own["ms"] + self._dice.random() * self.own.get("jitter_ms", 0)) / 1000

    def as_json(self) -> Json:
        """Describe it as it was set, with its counts."""
        return {
            "name": self.name,
            "fault": self.kind,
            **self.own,
            "operations": sorted(self.operations),
            "to": self.to,
            "share": self.share,
            "seed": self.seed,
            "times": self.times,
            "for_seconds": self.for_seconds,
            "matched": self.matched,
            "fired": self.fired,
            "active": self.is_active,
        }


def pattern(text: str) -> re.Pattern[str]:
    """Compile a pattern in which `*` and `?` stand for any characters and any one."""
    return re.compile(re.escape(text).replace(r"\*", ".*").replace(r"\?", "."), re.IGNORECASE)


def read_faults(body: Any, *, taken: Iterable[str], seed: str, operations: frozenset[str]) -> list[Fault]:
    """Read `{"faults": [...]}`: names must not be among `taken`; `seed` is for those without one.

    Raises FaultError for the first member that is wrong; none of the faults counts then.
    """
    if not isinstance(body, dict) or set(body) != {"faults"} or not isinstance(body["faults"], list):
        raise FaultError('Faults are given as {"faults": [...]}.')
    names = set(taken)
    names |= {item["name"] for item in body["faults"] if isinstance(item, dict) and isinstance(item.get("name"), str)}
    given: set[str] = set(taken)
    found: list[Fault] = []
    for number, item in enumerate(body["faults"], 1):
        if not isinstance(item, dict) or item.get("fault") not in [*KINDS]:  # it may be anything, also unhashable
            raise FaultError(f"Fault {number}: fault must be one of {', '.join(KINDS)}.")
        values = _values(number, item, operations)
        name = values.pop("name") or _free_name(item["fault"], names)
        if name in given:
            raise FaultError(f"Fault {number}: there is another one called {name!r}.")
        given.add(name)
        names.add(name)
        own = {key: values.pop(key) for key in KINDS[item["fault"]]}
        chosen = frozenset(values.pop("operations"))
        values["seed"] = values["seed"] or seed
        found.append(Fault(name, item["fault"], own, chosen, **values))
    return found


def _values(number: int, item: Mapping[str, Any], operations: frozenset[str]) -> Json:
    kind = item["fault"]
    possible = _OPERATIONS.get(kind, operations)
    usual = sorted(SENDS & possible or possible)
    members = {**KINDS[kind], **_COMMON, "operations": Member(_some_of(possible), usual)}
    unknown = sorted(set(item) - set(members) - {"fault"})
    if unknown:
        raise FaultError(f"Fault {number}: {kind} has no member {unknown[0]!r}. Known: {', '.join(members)}.")
    values: Json = {}
    for name, member in members.items():
        value = item.get(name)
        if value is None:
            if member.is_required:
                raise FaultError(f"Fault {number}: {kind} needs {name}.")
            values[name] = member.default
            continue
        try:
            values[name] = member.check(value)
        except ValueError as error:
            raise FaultError(f"Fault {number}: {name} must be {error}.") from None
    return values


def _free_name(kind: str, names: set[str]) -> str:
    number = 1
    while f"{kind}-{number}" in names:
        number += 1
    return f"{kind}-{number}"
