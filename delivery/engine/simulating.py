"""The provider of dry runs: everything is built and checked, and nothing leaves the process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from delivery.providers.base import (
    AccountStatus,
    CallResult,
    Entry,
    EntryResult,
    IdentityStatus,
    Limits,
    Outcome,
    OutgoingEmail,
    PreparedCall,
)


@dataclass(frozen=True, slots=True)
class SimulatedCall:
    entries: int
    size: int


class SimulatedProvider:
    """Accepts every entry without sending it."""

    name = "simulated"
    limits = Limits(entries_per_call=50, bytes_per_call=900_000)

    def prepare(self, email: OutgoingEmail) -> object:
        return len(email.html) + len(email.text) + len(email.subject)

    def build(self, prepared: object, entries: Sequence[Entry], call_id: str) -> SimulatedCall:
        return SimulatedCall(len(entries), sum(len(value) for entry in entries for value in entry.values.values()))

    def send(self, call: PreparedCall) -> CallResult:
        if not isinstance(call, SimulatedCall):
            raise TypeError("a dry run can't hand over a real request")
        return CallResult([EntryResult(Outcome.ACCEPTED, "", "")] * call.entries)

    def account_status(self) -> AccountStatus:
        return AccountStatus(True, True, "HEALTHY", -1, 1_000_000, 0)

    def identity_status(self, identity: str) -> IdentityStatus:
        return IdentityStatus(identity, True, "", "")

    def close(self) -> None:
        """Nothing is open."""
