"""Which faults are set, and what they do to one call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from localses.arrivals import Arrival, Steps, arrange
from localses.config import Settings
from localses.errors import ServiceError, exception, server_error
from localses.fault_addresses import MARK, fault_of
from localses.faults import ENTRY_FAILURES, SENDS, Fault, FaultError, read_faults
from localses.limits import bare_address
from localses.model import Json

_REFUSALS = {
    "throttle": "TooManyRequestsException",
    "daily_quota": "LimitExceededException",
    "account_paused": "SendingPausedException",
    "account_suspended": "AccountSuspendedException",
}


@dataclass(slots=True)
class Conduct:
    """How an answer goes out: after a wait, in drops over some seconds, or cut off: all of it, or in the middle."""

    wait_seconds: float = 0.0
    drip_seconds: float = 0.0
    is_cut: bool = False
    is_cut_in_the_middle: bool = False


@dataclass(slots=True)
class Turn:
    """One call and the faults in whose scope it is. Its methods are called in their order, each at its moment."""

    operation: str
    faults: Sequence[Fault]
    conduct: Conduct = field(default_factory=Conduct)
    names: list[str] = field(default_factory=list)  # of the faults that fired on the call itself
    _lost: ServiceError | None = None

    def delay(self) -> float:
        """Let waits fire. Returns the seconds to wait before the call is looked at; the others go to the answer."""
        seconds = 0.0
        for fault in self._fired("latency", "slow_answer"):
            if fault.kind == "slow_answer":
                self.conduct.drip_seconds += fault.seconds()
            elif fault.own["when"] == "before":
                seconds += fault.seconds()
            else:
                self.conduct.wait_seconds += fault.seconds()
        return seconds

    def refuse(self) -> None:
        """Raise ServiceError when a fault ends the call before anything of it was done."""
        for fault in self._fired(*_REFUSALS, "exception", "error", "cut", when="before"):
            if fault.kind == "exception":
                raise exception(fault.own["code"], fault.own["message"] or "")
            if fault.kind in _REFUSALS:
                raise exception(_REFUSALS[fault.kind])
            # The answer to a cut call is never seen.
            self.conduct.is_cut = fault.kind == "cut"
            raise server_error(fault.own.get("status", 500))

    def verified(self, identities: list[str]) -> list[str]:
        """Return which of a sender's verified identities no fault makes unverified."""
        for fault in self._of("identity_unverified"):
            if any(fault.disturbs_identity(name) for name in identities) and fault.fires():
                identities = [name for name in identities if not fault.disturbs_identity(name)]
        return identities

    def is_under_review(self) -> bool:
        """Say whether the account's standing is told as under review."""
        return bool(list(self._fired("account_under_review")))

    def entry_failure(self, recipients: list[str]) -> tuple[str, str] | None:
        """Return the status and error with which an entry fails, or None."""
        if not self.faults:  # asked for every entry: the usual case must cost nothing
            return None
        for fault in self._of("entry_failure"):
            if fault.concerns(map(bare_address, recipients)) and fault.fires():
                status: str = fault.own["status"]
                return status, fault.own["error"] or ENTRY_FAILURES[status][0]
        return None

    def lose_answer(self) -> bool:
        """Say whether the client will not hear that its call was accepted; `answer` makes it so."""
        for fault in self._fired("error", "cut", when="after"):
            if fault.kind == "error":
                self._lost = server_error(fault.own["status"])
            elif fault.own["when"] == "after":
                self.conduct.is_cut = True
            else:
                self.conduct.is_cut_in_the_middle = True
            return True
        return False

    def disturb(self, recipients: list[str], steps: Steps) -> tuple[list[Arrival], list[str]] | None:
        """Let faults fire on the events of an email. Returns how they arrive and the names, or None when as always."""
        if not self.faults:
            return None
        faults = [
            fault
            for fault in self._of("reordered_events", "late_events", "duplicate_events", "missing_events")
            if fault.concerns(map(bare_address, recipients))
        ]
        if not faults:
            return None
        arrivals, names = arrange(steps, faults)
        return (arrivals, names) if names else None

    def answer(self) -> None:
        """Raise the error that takes the place of the answer to a call that was handled."""
        if self.operation not in SENDS:
            self.lose_answer()
        if self._lost is not None:
            raise self._lost

    def _of(self, *kinds: str) -> Iterator[Fault]:
        return (fault for fault in self.faults if fault.kind in kinds)

    def _fired(self, *kinds: str, when: str = "") -> Iterator[Fault]:
        """Yield, one by one, the faults that fire. `when` is for those that have such a member."""
        for fault in self._of(*kinds):
            moment = fault.own.get("when")
            if when and moment and (moment == "before") is not (when == "before"):
                continue
            if fault.fires():
                self.names.append(fault.name)
                yield fault


class Faults:
    """Every fault that is set: over HTTP, by settings, by the addresses of emails. Only the desk's thread uses it."""

    def __init__(self, settings: Settings, seed: str, operations: frozenset[str]) -> None:
        self._settings = settings
        self._seed = seed
        self._operations = operations
        self._listed: list[Fault] = []
        self._by_address: dict[str, Fault] = {}
        self._by_setting = _settings_as_faults(seed, operations)

    def turn(self, operation: str, params: Json, body: bytes) -> Turn:
        """Return the turn of a call."""
        faults = [fault for fault in self._listed if operation in fault.operations and fault.is_active]
        faults += (fault for fault in self._following_settings() if operation in fault.operations)
        has_marks = operation in SENDS and MARK.encode() in body
        if has_marks or any(fault.to != "*" for fault in faults):
            addresses = _addresses(params)
            # What concerns single entries or emails is tried on each of them.
            faults = [fault for fault in faults if fault.concerns(addresses)]
            if has_marks:
                faults += self._of_addresses(addresses)
        return Turn(operation, faults)

    def shows(self, kind: str) -> bool:
        """Say whether GetAccount shows an account fault of this kind."""
        return any(fault.kind == kind and fault.is_active for fault in self._listed)

    def is_unverified(self, identity: str) -> bool:
        """Say whether a fault makes this identity unverified."""
        return any(
            fault.kind == "identity_unverified" and fault.is_active and fault.disturbs_identity(identity)
            for fault in self._listed
        )

    def replace(self, body: Any) -> Json:
        """Set these faults and no others; count anew. Raises FaultError and changes nothing."""
        self._listed = read_faults(body, taken=(), seed=self._seed, operations=self._operations)
        self._by_address.clear()
        return self.listing()

    def add(self, body: Any) -> Json:
        """Set these faults too. Raises FaultError and changes nothing."""
        taken = [fault.name for fault in self._listed]
        self._listed += read_faults(body, taken=taken, seed=self._seed, operations=self._operations)
        return self.listing()

    def clear(self, name: str | None) -> Json:
        """Clear all faults or the one of this name; return what was cleared. Raises FaultError for an unknown name."""
        if name is None:
            last = self.listing()
            self.replace({"faults": []})
            return last
        found = [fault for fault in self._listed if fault.name == name]
        if not found:
            raise FaultError(f"There is no fault called {name!r}.")
        self._listed = [fault for fault in self._listed if fault.name != name]
        return {"faults": [fault.as_json() for fault in found], "addresses": []}

    def listing(self) -> Json:
        """Describe every fault that was set over HTTP, and those that addresses asked for, with their counts."""
        return {
            "faults": [fault.as_json() for fault in self._listed],
            "addresses": [
                {"address": address, "name": fault.name, "fired": fault.fired}
                for address, fault in self._by_address.items()
            ],
        }

    def _following_settings(self) -> Iterator[Fault]:
        settings = self._settings
        for name, fault in self._by_setting.items():
            value = getattr(settings, name)
            if not value:
                continue
            if "ms" in fault.own:
                fault.own["ms"] = value
            else:
                fault.share = value
            yield fault

    def _of_addresses(self, addresses: list[str]) -> Iterator[Fault]:
        for address in dict.fromkeys(address.lower() for address in addresses):
            fault = self._by_address.get(address) or fault_of(address)
            if fault is not None:
                self._by_address[address] = fault
                yield fault


def _settings_as_faults(seed: str, operations: frozenset[str]) -> dict[str, Fault]:
    """Return the faults behind the settings of the same names; the settings' values go into them when they are used."""
    kinds: dict[str, tuple[str, Json, frozenset[str]]] = {
        "latency_ms": ("latency", {"ms": 0, "when": "after"}, operations),
        "error_rate": ("error", {"when": "before", "status": 500}, SENDS),
        "throttle_rate": ("throttle", {}, SENDS),
        "entry_failure_rate": ("entry_failure", {"status": "TRANSIENT_FAILURE", "error": None}, SENDS),
        "lost_answer_rate": ("error", {"when": "after", "status": 500}, SENDS),
    }
    return {name: Fault(name, kind, own, of, seed=seed) for name, (kind, own, of) in kinds.items()}


def _addresses(params: Json) -> list[str]:
    """Return the bare recipients that a call names; those in the header of a raw email are not looked for."""
    destinations = [params.get("Destination"), *(e.get("Destination") for e in params.get("BulkEmailEntries") or [])]
    return [
        bare_address(address)
        for destination in destinations
        if destination
        for kind in ("ToAddresses", "CcAddresses", "BccAddresses")
        for address in destination.get(kind) or []
    ]
