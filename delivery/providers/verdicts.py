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


# What all services can say, in whatever words. BAD_CALL: a whole call is refused because of somebody in it, so that nothing
# left and everybody deserves a call of their own.
THROTTLED: Final = Verdict(Outcome.RETRY, Signal.THROTTLED, "throttled")
QUOTA_EXCEEDED: Final = Verdict(Outcome.RETRY, Signal.QUOTA_EXCEEDED, "quota_exceeded")
ACCOUNT_PAUSED: Final = Verdict(Outcome.RETRY, Signal.ACCOUNT_PAUSED, "sending_paused")
ACCOUNT_SUSPENDED: Final = Verdict(Outcome.RETRY, Signal.ACCOUNT_SUSPENDED, "account_suspended")
SENDER_NOT_VERIFIED: Final = Verdict(Outcome.RETRY, Signal.SENDER_NOT_VERIFIED, "sender_not_verified")
CREDENTIALS: Final = Verdict(Outcome.RETRY, Signal.MISCONFIGURED, "credentials")
SETTINGS: Final = Verdict(Outcome.RETRY, Signal.MISCONFIGURED, "settings")
UNREACHABLE: Final = Verdict(Outcome.RETRY, Signal.UNREACHABLE, "unreachable")
CONFLICT: Final = Verdict(Outcome.RETRY, None, "conflict")
FAILED: Final = Verdict(Outcome.RETRY, None, "failed")
BAD_CALL: Final = Verdict(Outcome.RETRY, None, "bad_request")
BAD_REQUEST: Final = Verdict(Outcome.REJECTED, None, "bad_request")
LOST: Final = Verdict(Outcome.AMBIGUOUS, None, "answer_lost")
SERVER_ERROR: Final = Verdict(Outcome.AMBIGUOUS, None, "server_error")
MALFORMED: Final = Verdict(Outcome.AMBIGUOUS, None, "malformed_answer")
UNKNOWN_STATUS: Final = Verdict(Outcome.AMBIGUOUS, None, "unknown_status")

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
