"""Faults that an address asks for by itself: `anything+fault-<what>@anywhere`, `+fault-<what>.2` for twice only."""

from __future__ import annotations

import re

from localses.errors import EXCEPTIONS
from localses.faults import ENTRY_FAILURES, EVENTS, Fault
from localses.model import Json

MARK = "+fault-"
_WORD = re.compile(r"[^@]*\+fault-(?P<what>[a-z0-9-]+)(?:\.(?P<times>[1-9][0-9]{0,5}))?@.*", re.IGNORECASE)
_WAIT_MS = 3000
_LATE_MS = 5000


def _exception_word(code: str) -> str:
    """Return `limit-exceeded` for LimitExceededException."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", code.removesuffix("Exception")).lower()


WHATS: dict[str, tuple[str, Json]] = {
    **{_exception_word(code): ("exception", {"code": code, "message": None}) for code in EXCEPTIONS},
    **{
        "entry-" + status.lower().replace("_", "-"): ("entry_failure", {"status": status, "error": None})
        for status in ENTRY_FAILURES
    },
    "throttle": ("throttle", {}),
    "daily-quota": ("daily_quota", {}),
    "account-paused": ("account_paused", {}),
    "account-suspended": ("account_suspended", {}),
    "identity-unverified": ("identity_unverified", {"identity": "*"}),
    "error-before": ("error", {"when": "before", "status": 500}),
    "error-after": ("error", {"when": "after", "status": 500}),
    "cut-before": ("cut", {"when": "before"}),
    "cut-after": ("cut", {"when": "after"}),
    "cut-answering": ("cut", {"when": "answering"}),
    "latency": ("latency", {"ms": _WAIT_MS, "jitter_ms": 0, "when": "after"}),
    "slow-answer": ("slow_answer", {"ms": _WAIT_MS}),
    "duplicate-events": ("duplicate_events", {"events": EVENTS, "copies": 1, "same_id": True, "ms": 0}),
    "late-events": ("late_events", {"events": EVENTS, "ms": _LATE_MS, "jitter_ms": 0}),
    "reordered-events": ("reordered_events", {"gap_ms": 100}),
    "missing-events": ("missing_events", {"events": EVENTS}),
}


def fault_of(address: str) -> Fault | None:
    """Return the fault that this bare address asks for, or None for an ordinary one."""
    match = _WORD.fullmatch(address)
    if match is None or match["what"].lower() not in WHATS:
        return None
    what = match["what"].lower()
    kind, own = WHATS[what]
    times = int(match["times"]) if match["times"] else None
    return Fault(f"address:{what}", kind, own, to=address, times=times)
