"""What is killed while events come in, decided by the seed; each at a share of what one way, or all of them, brought."""

from __future__ import annotations

import heapq
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from tests.crash.timeline import Timeline
from tests.intake.installation import IntakeInstallation
from tests.intake.senders import Way

# How often at 100,000 events a way, and whose progress says when. In the small round each of the first five comes once.
KINDS: dict[str, tuple[int, str]] = {
    "kill the poller": (6, "queue"),
    "kill the web server": (6, "sns"),
    "kill PostgreSQL": (5, "all"),
    "stop PostgreSQL in mid-commit": (5, "all"),
    "kill a worker": (6, "all"),
    "cut sessions in mid-commit": (4, "all"),
    "stop PostgreSQL at once": (2, "firehose"),
    "stop PostgreSQL quickly": (1, "queue"),
    "kill the scheduler": (2, "all"),
    "kill the broker": (2, "sns"),
}
SMALL = 5
FEW_EVENTS = 20_000


class Strike(NamedTuple):
    """After which share of whose events, 0 to 1."""

    share: float
    kind: str
    whose: str


def make_strikes(seed: str, events: int) -> list[Strike]:
    """In the order of their shares."""
    dice = random.Random(f"{seed}:strikes")
    kinds = list(KINDS.items())
    if events < FEW_EVENTS:
        kinds = [(kind, (1, whose)) for kind, (_times, whose) in kinds[:SMALL]]
    strikes = [
        Strike(round((k + dice.uniform(0.1, 0.9)) / times * 0.95, 4), kind, whose)
        for kind, (times, whose) in kinds
        for k in range(times)
    ]
    return sorted(strikes)


@dataclass
class Attacks:
    """Does the strikes that are due, and starts again what was killed and what ended by itself."""

    installation: IntakeInstallation
    ways: dict[str, Way]
    timeline: Timeline
    strikes: list[Strike]
    dice: random.Random

    def __post_init__(self) -> None:
        self.done: Counter[str] = Counter()
        self._starts: list[tuple[float, str]] = []
        fleet = self.installation.fleet
        self._attack: dict[str, Callable[[], None]] = {
            "kill the poller": lambda: self._kill("queues"),
            "kill the web server": lambda: self._kill("web"),
            "kill a worker": lambda: self._kill(
                self.dice.choice([n for n in fleet.running if n.startswith("work")] or ["work"])
            ),
            "kill the scheduler": lambda: self._kill("scheduler"),
            "kill PostgreSQL": self.installation.kill_postgres,
            "stop PostgreSQL at once": lambda: self.installation.restart_postgres(signal.SIGQUIT),
            "stop PostgreSQL quickly": lambda: self.installation.restart_postgres(signal.SIGINT),
            "stop PostgreSQL in mid-commit": lambda: self._in_commit(
                lambda: self.installation.restart_postgres(signal.SIGQUIT)
            ),
            "cut sessions in mid-commit": lambda: self._in_commit(self.installation.cut_acknowledgements),
            "kill the broker": self._kill_broker,
        }

    def run_due(self) -> None:
        """One strike at most, so that each hits what has recovered from the last."""
        shares = {name: way.share for name, way in self.ways.items()}
        shares["all"] = sum(shares.values()) / len(shares)
        for strike in self.strikes:
            if shares[strike.whose] >= strike.share:
                self.strikes.remove(strike)
                self.timeline.note(f"ATTACK {strike.kind}, after {strike.share:.0%} of {strike.whose}")
                self._attack[strike.kind]()
                self.done[strike.kind] += 1
                break
        self.start_due()

    def start_due(self) -> None:
        """Start what is to be started by now."""
        for name, code in self.installation.fleet.ended():
            self.timeline.note(f"{name} ended by itself with {code}")
            heapq.heappush(self._starts, (time.monotonic() + 0.5, name))
        while self._starts and self._starts[0][0] <= time.monotonic():
            _at, name = heapq.heappop(self._starts)
            if name not in self.installation.fleet.running:
                self.installation.fleet.start(name)
                self.timeline.note(f"{name} started")

    def _kill(self, name: str) -> None:
        self.installation.fleet.kill(name)
        heapq.heappush(self._starts, (time.monotonic() + self.dice.uniform(0.0, 1.0), name))

    def _in_commit(self, harm: Callable[[], None]) -> None:
        """Commits are written and not acknowledged: neither poller nor sender can know whether they were."""
        self.installation.hold_acknowledgements()
        time.sleep(self.dice.uniform(0.2, 0.6))
        harm()

    def _kill_broker(self) -> None:
        self.installation.kill_broker()
        time.sleep(self.dice.uniform(0.0, 0.5))
        self.installation.start_broker()
