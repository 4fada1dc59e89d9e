"""One supervised program: its process, what it prints, and when it is started again."""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from amazonsender.core.processes import kill_group, spawn
from amazonsender.stack.console import LineBuffer

FIRST_DELAY_SECONDS: Final = 1.0
LONGEST_DELAY_SECONDS: Final = 30.0
# A process that ran this long was well; its next death starts with the first delay again.
WELL_AFTER_SECONDS: Final = 60.0
READ_BYTES: Final = 1 << 16


@dataclass(frozen=True)
class Program:
    """One program of the group. Those with a higher ``ends_in`` are still there while the others finish."""

    name: str
    command: Sequence[str]
    ends_in: int = 1


class Process:
    """A started program and the reading end of what it prints."""

    def __init__(self, program: Program, environment: Mapping[str, str], folder: Path) -> None:
        self.output, writing_end = os.pipe()
        os.set_blocking(self.output, False)
        try:
            self._popen = spawn(program.command, env=environment, output=writing_end, cwd=folder)
        finally:
            os.close(writing_end)
        self.started_at = time.monotonic()
        self._buffer = LineBuffer()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._popen.poll()

    def read_lines(self) -> list[str]:
        """Return the lines it completed since the last time."""
        lines: list[str] = []
        while True:
            try:
                data = os.read(self.output, READ_BYTES)
            except BlockingIOError:
                return lines
            if not data:
                return lines + self._buffer.flush()
            lines += self._buffer.feed(data)
            if len(data) < READ_BYTES:
                return lines

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program itself; its children are its own business."""
        self._popen.send_signal(number)

    def close(self) -> list[str]:
        """End what is left of an ended program's group, and return its last lines."""
        kill_group(self.pid)
        lines = self.read_lines() + self._buffer.flush()
        os.close(self.output)
        return lines


@dataclass
class Child:
    """A program's present state: a process, or the time at which it is started again."""

    program: Program
    process: Process | None = None
    due_at: float = 0.0
    _delay_seconds: float = field(default=FIRST_DELAY_SECONDS, init=False)

    def plan_restart(self, started_at: float) -> float:
        """Decide when a program that ran since ``started_at`` starts again; return the delay."""
        now = time.monotonic()
        if now - started_at >= WELL_AFTER_SECONDS:
            self._delay_seconds = FIRST_DELAY_SECONDS
        delay = self._delay_seconds
        self.due_at = now + delay
        self._delay_seconds = min(delay * 2, LONGEST_DELAY_SECONDS)
        return delay


def describe_end(code: int) -> str:
    """Say how a process ended."""
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


def reap_strangers(known: set[int]) -> None:
    """Collect ended grandchildren that became our children, so that no zombie stays; leave ``known`` alone."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        # A known one first in line hides those behind it until its owner has collected it.
        if ended is None or ended.si_pid in known:
            return
        os.waitpid(ended.si_pid, os.WNOHANG)
