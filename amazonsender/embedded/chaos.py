"""``CHAOS=1``: kill workers, database and broker while the sample campaign goes out, at seeded moments.

What is struck is what the demo started itself. One thing at a time, and the next one only once the last has come back,
so that each line tells of one cause and one effect. The person's account at the end is the campaign's own.
"""

import random
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import psycopg

from amazonsender.core.processes import children_of, kill_group
from amazonsender.embedded.errors import EmbeddedError
from amazonsender.embedded.postgres import Postgres
from amazonsender.embedded.services import Services
from amazonsender.embedded.valkey import Valkey

# How long the campaign is made to take, so that it is still going out at the last strike.
SEND_SECONDS: Final = 60
GAP_SECONDS: Final = (1.0, 4.0)
COMES_BACK_WITHIN_SECONDS: Final = 90.0
LOOK_SECONDS: Final = 0.5


class Program:
    """A program of the stack: a part that only its command has, and what a worker logs once it takes tasks."""

    def __init__(self, title: str, part: str, *, worker: str = "") -> None:
        self.title = title
        self._part = part
        self._begun = re.compile(rf"^{worker} *\| .* ready\.", re.MULTILINE) if worker else None

    def pid(self, stack: int) -> int:
        """The process below the stack, 0 while there is none."""
        return next((pid for pid, command in children_of(stack).items() if self._part in command), 0)

    def has_begun(self, log: Path, since: int) -> bool:
        """Tell whether the log says so after ``since`` bytes; of a program that logs nothing, its process is enough."""
        if self._begun is None:
            return True
        with log.open("rb") as file:
            file.seek(since)
            return bool(self._begun.search(file.read().decode(errors="replace")))


PROGRAMS: Final = (
    Program("the send worker", "-n send@", worker="send"),
    Program("the work worker", "-n work@", worker="work"),
    Program("the scheduler", "amazonsender beat"),
)


class Chaos:
    """Strikes while the campaign goes out; ``step`` is called again and again by whoever watches over the stack."""

    def __init__(self, services: Services, *, log: Path, seed: int, say: Callable[[str], None]) -> None:
        self._services = services
        self._log = log
        self._say = say
        self._dice = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._strikes: Iterator[None] | None = None
        say(f"Chaos: workers, database and broker will be killed while the campaign goes out (again: SEED={seed}).")

    def step(self, stack: int) -> None:
        """Go on as far as is due; ``stack`` is the process below which the programs run."""
        if self._strikes is None:
            self._strikes = self._run(stack)
        next(self._strikes, None)

    def _run(self, stack: int) -> Iterator[None]:
        """Yield whenever there is something to wait for."""
        while not self._is_sending():
            yield from self._pause(LOOK_SECONDS)
        targets: list[Program | Postgres | Valkey] = [*PROGRAMS, *self._services.started]
        self._dice.shuffle(targets)
        for done, target in enumerate(targets):
            yield from self._pause(self._dice.uniform(*GAP_SECONDS))
            if not self._is_sending():
                self._say(f"Chaos: the campaign was out before the last {len(targets) - done} could be killed.")
                return
            if isinstance(target, Program):
                yield from self._strike_program(target, stack)
            else:
                self._strike_service(target)
        self._say("Chaos: that was all; now everything has to add up.")

    def _strike_program(self, program: Program, stack: int) -> Iterator[None]:
        while not (pid := program.pid(stack)):
            yield
        since, struck_at = self._log.stat().st_size, time.monotonic()
        kill_group(pid)
        self._say(f"Chaos: killed {program.title} (SIGKILL) …")
        while program.pid(stack) in {0, pid} or not program.has_begun(self._log, since):
            if time.monotonic() - struck_at > COMES_BACK_WITHIN_SECONDS:
                self._say(f"Chaos: {program.title} did not come back within {COMES_BACK_WITHIN_SECONDS:.0f} s.")
                return
            yield
        self._say_back(program.title, struck_at)

    def _strike_service(self, service: Postgres | Valkey) -> None:
        struck_at = time.monotonic()
        if isinstance(service, Postgres):
            title, how = "PostgreSQL", "stopped PostgreSQL in mid-flight (immediate shutdown)"
            service.stop(how=signal.SIGQUIT)
        else:
            title, how = "the broker", "killed the broker (SIGKILL) and threw away every task it held"
            service.stop(how=signal.SIGKILL)
            shutil.rmtree(service.folder)
        self._say(f"Chaos: {how} …")
        try:
            service.start()
        except EmbeddedError as error:
            self._say(f"Chaos: {title} did not start: {error}")
        else:
            self._say_back(title, struck_at)

    def _say_back(self, title: str, struck_at: float) -> None:
        self._say(f"Chaos: … {title} came back after {time.monotonic() - struck_at:.1f} s.")

    def _is_sending(self) -> bool:
        try:
            with psycopg.connect(self._services.environment["DATABASE_URL"], connect_timeout=5) as connection:
                row = connection.execute(
                    "SELECT 1 FROM delivery_mailout m WHERE m.state = 'sending'"
                    " AND EXISTS (SELECT FROM delivery_send_call c WHERE c.mailout_id = m.id) LIMIT 1"
                ).fetchone()
        except psycopg.OperationalError:
            return True  # the database was killed a moment ago; nobody can say that it is over
        return row is not None

    def _pause(self, seconds: float) -> Iterator[None]:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            yield
