"""Keeps a group of processes running in the foreground, and ends all of them together.

One thread and one loop: read what the processes print, start again what has died, answer signals. No process outlives
the supervisor, whether it is asked to end or killed.
"""

import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

from amazonsender.core.processes import adopt_orphans, end, spawn
from amazonsender.stack.child import Child, Process, Program, describe_end, reap_strangers
from amazonsender.stack.console import Console

TICK_SECONDS: Final = 0.2
END_SECONDS: Final = 20.0
READY_SECONDS: Final = 90.0


@dataclass(frozen=True)
class Afterwards:
    """A command to run once everything answers; with ``exit`` the group ends after it, with its code."""

    command: Sequence[str]
    exit: bool = False


class Supervisor:
    """Runs ``programs`` until a signal comes or ``afterwards`` says to end."""

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        environment: Mapping[str, str],
        folder: Path,
        console: Console,
        ready: Callable[[], bool] = lambda: True,
        afterwards: Afterwards | None = None,
        welcome: str = "",
    ) -> None:
        self._children = [Child(program) for program in programs]
        self._environment = dict(environment) | {"PYTHONUNBUFFERED": "1"}
        self._folder = folder
        self._console = console
        self._ready = ready
        self._afterwards = afterwards
        self._welcome = welcome
        self._selector = selectors.DefaultSelector()
        self._signals = 0
        self._ready_by = 0.0
        self._answered = False
        self._after: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Supervise until the end; return 0, or the code of the command that was to run afterwards."""
        adopt_orphans()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        self._ready_by = time.monotonic() + READY_SECONDS
        code: int | None = None
        try:
            while not self._signals and code is None:
                self._start_due()
                self._read()
                self._restart_dead()
                code = self._continue_afterwards() if self._answered else self._wait_for_answers()
        except BrokenPipeError:
            self._console.go_silent()
        finally:
            self._end_all()
        return code or 0

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1

    def _start_due(self) -> None:
        for child in self._children:
            if child.process is None and child.due_at <= time.monotonic():
                child.process = Process(child.program, self._environment, self._folder)
                self._selector.register(child.process.output, selectors.EVENT_READ, child)

    def _read(self) -> None:
        for key, _events in self._selector.select(TICK_SECONDS):
            self._print(key.data.program.name, key.data.process.read_lines())
        # A program that closed its output keeps its pipe readable for ever; one pause keeps that from spinning.
        time.sleep(0.005)

    def _print(self, name: str, lines: Sequence[str]) -> None:
        for line in lines:
            self._console.line(name, line)

    def _restart_dead(self) -> None:
        for child in self._children:
            process = self._take_ended(child)
            if process is None or process.code is None:
                continue
            name, delay = child.program.name, child.plan_restart(process.started_at)
            if process.code != -signal.SIGKILL:  # what is killed had no time to say why
                self._console.replay(name)
            self._console.report(
                f"{name} {describe_end(process.code)}; starting it again in {delay:.0f} s.", trouble=True
            )
        self._reap()

    def _take_ended(self, child: Child) -> Process | None:
        """Take leave of a child's process if it has ended, print its last words and return it."""
        process = child.process
        if process is None or process.code is None:
            return None
        self._selector.unregister(process.output)
        child.process = None
        self._print(child.program.name, process.close())
        return process

    def _reap(self) -> None:
        known = {child.process.pid for child in self._children if child.process is not None}
        reap_strangers(known | ({self._after.pid} if self._after is not None else set()))

    def _wait_for_answers(self) -> int | None:
        self._answered = self._ready()
        if self._answered and self._afterwards is not None:
            self._after = spawn(self._afterwards.command, env=self._environment, output=None, cwd=self._folder)
        elif self._answered:
            self._welcome_person()
        elif time.monotonic() > self._ready_by:
            for child in self._children:
                self._console.replay(child.program.name)
            self._console.report(f"Not everything answered within {READY_SECONDS:.0f} s; giving up.", trouble=True)
            return 1
        return None

    def _continue_afterwards(self) -> int | None:
        """Look after the command that runs afterwards; return a code when the group should end."""
        if self._after is None or self._afterwards is None:
            return None
        code = self._after.poll()
        if code is None:
            return None
        self._after = None
        if code:
            self._console.report(f"The command {describe_end(code)}.", trouble=True)
        if self._afterwards.exit:
            return code if code >= 0 else 1
        self._welcome_person()
        return None

    def _welcome_person(self) -> None:
        if self._welcome:
            self._console.report(self._welcome)
        self._console.quiet = False

    def _end_all(self) -> None:
        """Ask the programs to end in their order; insist after a while or on a further signal."""
        signals, deadline = self._signals, time.monotonic() + END_SECONDS
        if self._after is not None:
            end(self._after, signal.SIGTERM, seconds=2.0)
            self._after = None
        for wave in sorted({child.program.ends_in for child in self._children}):
            leaving = [child for child in self._children if child.program.ends_in == wave]
            self._send(leaving, signal.SIGTERM)
            while any(child.process for child in leaving):
                if time.monotonic() > deadline or self._signals > signals:
                    self._send(leaving, signal.SIGKILL)
                self._read()
                for child in leaving:
                    self._take_ended(child)
        self._reap()

    def _send(self, children: Sequence[Child], number: signal.Signals) -> None:
        for child in children:
            if child.process is not None:
                child.process.send(number)
