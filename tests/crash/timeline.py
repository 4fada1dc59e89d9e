"""What happened in a round, when: printed when the round fails, so that it can be followed in the logs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass
class Timeline:
    """Lines with seconds since the round began and the time of day, as the logs have it."""

    follow: bool = False  # print each line when it happens
    lines: list[str] = field(default_factory=list)
    started_at: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started_at

    def note(self, text: str) -> None:
        line = f"{self.seconds:7.2f}  {datetime.now(UTC):%H:%M:%S.%f}  {text}"
        self.lines.append(line)
        if self.follow:
            print(line, flush=True)
