"""Running a rival in a process of its own, in peace and with `kill -9`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.harness import PROJECT, Cpu, say
from tests.benchmarks.mailouts import checkpoint
from tests.benchmarks.rivals.figures import Killed, Speed, Witness, count_repeated, emails_per_second

HALF_SECONDS = 120


@dataclass(frozen=True)
class Rival:
    """What to run. `restart` says what its documentation has one do after a crash."""

    key: str
    title: str
    name: str
    count: int
    witness: Witness
    restart: str = "running it again"
    env: dict[str, str] = field(default_factory=dict)

    def measure(self, env: dict[str, str], server: str, log: Path) -> Speed:
        """Let it send to `count` people; exits unless each was reached once."""
        self.witness.reset()
        with self._process(env, log) as process:
            cpu = Cpu(server, [process])
            checkpoint()
            before = cpu.read()
            _tell(process)
            _expect(process, "done", log)
            checkpoint()
            after = cpu.read()
        stats = self.witness.stats()
        if (stats["recipients"], stats["people"], stats["malformed"], stats["bad_signatures"]) != (
            self.count, self.count, 0, 0,
        ):  # fmt: skip
            sys.exit(f"FAILED: {self.title} was to reach {self.count} people: {stats}")
        return Speed(
            self.title,
            self.count,
            emails_per_second(stats),
            (after[0] - before[0]) / self.count * 1e6,
            (after[1] - before[1]) / self.count * 1e6,
            stats["bytes"] / self.count,
        )

    def kill(self, env: dict[str, str], log: Path) -> Killed:
        """Kill it with all its children when half of the people were reached, and do as its documentation says."""
        self.witness.reset()
        with self._process(env, log) as process:
            _tell(process)
            wait_for_half(self.witness, self.count)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        before = self.witness.stats()["people"]
        with self._process(env, log, "--again") as process:
            _tell(process)
            _expect(process, "done", log)
        stats = self.witness.stats()
        return Killed(
            self.title, self.count, before, self.restart, count_repeated(stats), self.count - stats["people"], 0
        )

    @contextmanager
    def _process(self, env: dict[str, str], log: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        """Start it and wait until it is ready to send."""
        command = [sys.executable, "-m", "tests.benchmarks.rivals", self.name, str(self.count), *options]
        with log.open("ab") as output:
            process = subprocess.Popen(
                command, cwd=PROJECT, env=env | self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        with process:
            try:
                _expect(process, "ready", log)
                yield process
            finally:
                if process.poll() is None:
                    _tell(process)


def wait_for_half(witness: Witness, count: int) -> None:
    """Wait until half of the people were reached."""
    deadline = time.monotonic() + HALF_SECONDS
    while witness.stats()["people"] < count // 2:
        if time.monotonic() > deadline:
            sys.exit(f"half of {count} people were not reached within {HALF_SECONDS} s")
        time.sleep(0.005)


def _tell(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.flush()


def _expect(process: subprocess.Popen[bytes], word: str, log: Path) -> None:
    assert process.stdout is not None
    heard = process.stdout.readline().decode().strip()
    if heard != word:
        process.kill()
        say(log.read_text()[-4000:])
        sys.exit(f"expected {word!r}, heard {heard!r}")
