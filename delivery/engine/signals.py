"""What answers say about the account and the sender: slow down, park, stop, probe."""

from __future__ import annotations

from collections import deque
from time import monotonic

import structlog

from delivery.engine import limiter, outages
from delivery.engine.braking import pause_for_sender
from delivery.engine.calls import Call
from delivery.engine.database import Connection
from delivery.models import ParkReason
from delivery.providers.base import Outcome, Signal

logger = structlog.get_logger(__name__)

RESET_EVERY_SECONDS = 1.0
UNREACHABLE_SECONDS = 5.0
LAST_CALLS = 40  # of one process, among which
PARTIAL_LOSSES = (
    5  # unanswered ones, each behind an answered one, are a partial outage; in a full one they are in a row
)
RECHECK_SECONDS = 600.0  # a paused or refused account is asked again by the poll; this is the latest

PARKED_BY = {
    Signal.ACCOUNT_PAUSED: ParkReason.PAUSED,
    Signal.ACCOUNT_SUSPENDED: ParkReason.SUSPENDED,
    Signal.MISCONFIGURED: ParkReason.MISCONFIGURED,
}


class SignalWatch:
    """Obeys the signals of one account's finished calls."""

    def __init__(self, account_id: int) -> None:
        self.account_id = account_id
        self._reset_at = 0.0
        self._has_streak = False  # that this process began or lengthened
        self._was_answered = True
        self._losses: deque[bool] = deque(maxlen=LAST_CALLS)  # of each call, whether it broke a row of answers

    def obey(self, connection: Connection, finished: list[Call]) -> bool:
        """Short statements of their own, before anything new is armed. True when a grant in hand is worth nothing now."""
        if self.account_id == 0:
            return False
        signals = {}
        unverified = set()
        answered = has_trouble = False
        for call in finished:
            result = call.result
            if result is None:
                continue
            if any(entry.outcome == Outcome.AMBIGUOUS for entry in result.entries):
                outages.note_call(connection, self.account_id, is_ambiguous=True)
                self._note(connection, call, is_answered=False)
                has_trouble = self._has_streak = True
                answered = False  # what was answered before it does not end the row
            elif result.signal != Signal.UNREACHABLE:
                self._note(connection, call, is_answered=True)
                answered = True
            if result.signal == Signal.SENDER_NOT_VERIFIED:
                unverified.add(call.batch.mailout_id)
            elif result.signal is not None:
                signals[result.signal] = result.detail
        if answered and (self._has_streak or monotonic() - self._reset_at > RESET_EVERY_SECONDS):
            self._reset_at, self._has_streak = monotonic(), False
            outages.note_call(connection, self.account_id, is_ambiguous=False)
        for mailout_id in sorted(unverified):
            pause_for_sender(connection, self.account_id, mailout_id)
        for signal, detail in signals.items():
            self._obey(connection, signal, detail)
        return has_trouble or bool(signals)

    def _note(self, connection: Connection, call: Call, *, is_answered: bool) -> None:
        """Look for a partial outage; the probes that it leads to are not part of the next."""
        if call.is_probe:
            outages.note_probe(connection, self.account_id, is_answered=is_answered)
            return
        self._losses.append(self._was_answered and not is_answered)
        self._was_answered = is_answered
        if not is_answered and sum(self._losses) >= PARTIAL_LOSSES:
            logger.warning("delivery.partial_outage", account=self.account_id)
            outages.note_partial_outage(connection, self.account_id)
            self._losses.clear()

    def _obey(self, connection: Connection, signal: Signal, detail: str) -> None:
        logger.warning("delivery.signal", account=self.account_id, signal=signal, detail=detail[:300])
        if signal == Signal.THROTTLED:
            limiter.slow_down(connection, self.account_id)
        elif signal == Signal.QUOTA_EXCEEDED:
            limiter.park_for_quota(connection, self.account_id)
        elif signal == Signal.UNREACHABLE:
            limiter.park(connection, self.account_id, ParkReason.OUTAGE, seconds=UNREACHABLE_SECONDS)
        else:
            limiter.park(connection, self.account_id, PARKED_BY[signal], seconds=RECHECK_SECONDS)
