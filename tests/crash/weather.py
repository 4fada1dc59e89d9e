"""Bad weather at the provider: what Local SES can do to calls, to the account, and to events, for a second or three."""

from __future__ import annotations

import random
from typing import Any

Fault = dict[str, Any]

ENTRY_STATUSES = ("TRANSIENT_FAILURE", "FAILED", "MESSAGE_REJECTED", "ACCOUNT_THROTTLED", "INVALID_PARAMETER")
EXCEPTIONS = (
    "MessageRejected",
    "BadRequestException",
    "NotFoundException",
    "ThrottlingException",
    "ExpiredTokenException",
)
KINDS = (
    "throttle",
    "daily_quota",
    "exception",
    "error",
    "cut",
    "latency",
    "slow_answer",
    "entry_failure",
    "account_paused",
    "account_suspended",
    "account_under_review",
    "identity_unverified",
    "duplicate_events",
    "late_events",
    "reordered_events",
    "missing_events",
)
MISSING = "missing_events"  # nobody tells of these people, so what was not answered stays unknown


def make_weather(dice: random.Random) -> list[Fault]:
    """One to three faults, each for a second or three."""
    kinds = dice.sample(KINDS, dice.randrange(1, 4))
    return [
        {"name": kind, "for_seconds": round(dice.uniform(1.0, 3.0), 1), "seed": str(dice.random())} | _fault(kind, dice)
        for kind in kinds
    ]


def _fault(kind: str, dice: random.Random) -> Fault:
    share = round(dice.uniform(0.1, 0.5), 2)
    own: Fault = {"fault": kind}
    if kind in ("throttle", "late_events", "reordered_events", "duplicate_events"):
        own["share"] = share
    if kind == "exception":
        own |= {"share": share / 3, "code": dice.choice(EXCEPTIONS)}
    elif kind == "error":
        own |= {"share": share, "when": dice.choice(("before", "after")), "status": dice.choice((500, 502, 503, 504))}
    elif kind == "cut":
        own |= {"share": share, "when": dice.choice(("before", "after", "answering"))}
    elif kind == "latency":
        own |= {"ms": dice.randrange(100, 800), "jitter_ms": 500, "when": dice.choice(("before", "after"))}
    elif kind == "slow_answer":
        own |= {"share": share, "ms": dice.randrange(500, 3000)}
    elif kind == "entry_failure":
        own |= {"share": share / 5, "status": dice.choice(ENTRY_STATUSES)}
    elif kind == "duplicate_events":
        own |= {"copies": dice.randrange(1, 3), "same_id": dice.random() < 0.5}
    elif kind == "late_events":
        own |= {"ms": dice.randrange(500, 4000), "jitter_ms": 1000}
    elif kind == "missing_events":
        own |= {"share": share / 5}
    return own
