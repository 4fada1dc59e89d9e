"""SPF (RFC 7208): the one record of a name, and how many look-ups following it takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from delivery.domains.lookup import Answer, State

MOST_LOOKUPS: Final = 10  # section 4.6.4: more is an error, as if there were no record
AMAZON: Final = "amazonses.com"
_VERSION: Final = re.compile(r"v=spf1(?: |$)", re.IGNORECASE)
_TERM: Final = re.compile(r"([+?~-]?)([a-z][a-z0-9_.-]*)(?:([:=])([^/]*))?((?:/.*)?)", re.IGNORECASE)
_MECHANISMS: Final = frozenset({"all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"})
_LOOKED_UP: Final = frozenset({"include", "a", "mx", "ptr", "exists", "redirect"})


class Trouble(StrEnum):
    """What makes receivers ignore a record, or fail on it."""

    NONE = ""
    SEVERAL = "several"  # records of one name: none counts
    SYNTAX = "syntax"
    TOO_MANY = "too_many"
    LOST = "lost"  # it includes a name without a record
    UNKNOWN = "unknown"  # something on the way could not be looked up


class Spf(NamedTuple):
    """A judged record. lookups: at most one more than allowed; allows_amazon: through whatever it includes.

    all: what becomes of everybody else: "-", "~", "?", "+", or "" where it isn't said. culprit: the term or name
    that is the trouble.
    """

    record: str
    lookups: int = 0
    allows_amazon: bool = False
    all: str = ""
    trouble: str = Trouble.NONE
    culprit: str = ""


def records_of(texts: Sequence[str]) -> list[str]:
    """Return the SPF records among a name's texts."""
    return [text for text in texts if _VERSION.match(text)]


def judge(texts: Sequence[str], ask: Callable[[str], Answer]) -> Spf | None:
    """Judge the SPF record among a name's texts, following what it includes; None without one.

    ask: looks up the TXT records of a name.
    """
    records = records_of(texts)
    if not records:
        return None
    if len(records) > 1:
        return Spf(records[0], trouble=Trouble.SEVERAL)
    walk = _Walk(ask)
    qualifier = walk.follow(records[0])
    return Spf(records[0], walk.lookups, walk.allows_amazon, qualifier, walk.trouble, walk.culprit)


def _is_known(term: re.Match[str]) -> bool:
    """A modifier, whichever, or one of the mechanisms; what is followed names its target."""
    name, sign, target = term[2].lower(), term[3], term[4]
    if name in ("include", "redirect"):
        return sign == (":" if name == "include" else "=") and bool(target)
    return sign == "=" or name in _MECHANISMS


class _Walk:
    """Follows includes, each name once, up to the allowed number of look-ups."""

    def __init__(self, ask: Callable[[str], Answer]) -> None:
        self._ask = ask
        self._seen: set[str] = set()
        self.lookups = 0
        self.allows_amazon = False
        self.trouble = Trouble.NONE
        self.culprit = ""

    def follow(self, record: str) -> str:
        """Follow one record; return the qualifier of its `all`."""
        qualifier = ""
        for term in record.split()[1:]:
            if self.trouble:
                return qualifier
            match = _TERM.fullmatch(term)
            if match is None or not _is_known(match):
                self._stop(Trouble.SYNTAX, term)
                return qualifier
            name = match[2].lower()
            if name == "all":
                qualifier = match[1] or "+"
            if name in _LOOKED_UP:
                self._count(term)
            if name in ("include", "redirect"):
                followed = self._into(match[4].lower().rstrip("."))
                qualifier = followed if name == "redirect" and not qualifier else qualifier
        return qualifier

    def _count(self, term: str) -> None:
        self.lookups += 1
        if self.lookups > MOST_LOOKUPS:
            self._stop(Trouble.TOO_MANY, term)

    def _into(self, target: str) -> str:
        self.allows_amazon = self.allows_amazon or target == AMAZON or target.endswith(f".{AMAZON}")
        # A name with macros depends on the email; one that was followed before is counted and followed no more.
        if self.trouble or "%" in target or target in self._seen:
            return ""
        self._seen.add(target)
        answer = self._ask(target)
        if answer.state in (State.FAILED, State.LATE):
            self._stop(Trouble.UNKNOWN, target)
            return ""
        records = records_of(answer.values)
        if len(records) != 1:
            self._stop(Trouble.LOST, target)
            return ""
        return self.follow(records[0])

    def _stop(self, trouble: Trouble, culprit: str) -> None:
        self.trouble, self.culprit = trouble, culprit[:200]
