"""What an answer means for one entry of a call, in the form in which every adapter's tables say it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from delivery.providers.base import EntryResult, Outcome, Signal

ERROR_TEXT_LIMIT: Final = 300


class Verdict(NamedTuple):
    """Meaning of one status or exception. `code` is the stable first word of the error that people see."""

    outcome: Outcome
    signal: Signal | None
    code: str


# An answer may show several troubles; the account heeds the one that needs a person most.
SIGNALS_BY_WEIGHT: Final = (
    Signal.ACCOUNT_SUSPENDED,
    Signal.ACCOUNT_PAUSED,
    Signal.SENDER_NOT_VERIFIED,
    Signal.MISCONFIGURED,
    Signal.QUOTA_EXCEEDED,
    Signal.THROTTLED,
    Signal.UNREACHABLE,
)


def describe(verdict: Verdict, text: str) -> str:
    """Join code and the service's own words into the error of a message."""
    text = " ".join(text.split())[:ERROR_TEXT_LIMIT]
    return f"{verdict.code}: {text}" if text else verdict.code


def heaviest(signals: Iterable[Signal]) -> Signal | None:
    """Pick the signal that an account must heed first."""
    return min(signals, key=SIGNALS_BY_WEIGHT.index, default=None)


def entry_result(verdict: Verdict, text: str) -> EntryResult:
    """Result of an entry that was not accepted."""
    return EntryResult(verdict.outcome, "", describe(verdict, text))
