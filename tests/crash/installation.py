"""The attacked installation: PostgreSQL and Valkey of its own, and the programs of `runstack`, each in our hands."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil
import psycopg
import redis

from amazonsender.core.processes import kill_group, spawn, wait_for
from amazonsender.embedded.binaries import find_postgres, find_valkey
from amazonsender.embedded.environment import own_environment
from amazonsender.embedded.home import PROJECT, Home, find_home
from amazonsender.embedded.postgres import DATABASE, Postgres
from amazonsender.embedded.valkey import Valkey
from amazonsender.stack.programs import answers, list_programs

Result = TypeVar("Result")

# A killed server loses nothing that the operating system has, so fsync is not what is tested; the meaning of a commit is.
SERVER_SETTINGS = {"fsync": "off", "synchronous_commit": "on", "shared_buffers": "128MB", "max_connections": "200"}
READY_SECONDS = 90.0
PATIENCE_SECONDS = 40.0
NOBODY = "nobody"  # a standby that never answers: commits are written and never acknowledged


class Fleet:
    """Programs of the installation by name: start, kill, stop and continue, one by one."""

    def __init__(self, commands: Mapping[str, Sequence[str]], environment: Mapping[str, str], logs: Path) -> None:
        self.commands = commands
        self.environment = dict(environment)
        self.logs = logs
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, **more: str) -> None:
        """Start a program; `send-copy` is another process of `send`, with another name and `more` environment."""
        with (self.logs / f"{name}.log").open("ab") as log:
            self.running[name] = spawn(
                self.commands[name.partition("-")[0]],
                env=self.environment | more,
                output=log.fileno(),
                die_with_parent=signal.SIGKILL,
                cwd=PROJECT,
            )

    def kill(self, name: str) -> None:
        """SIGKILL to the program and everything that it started: what the machine's end does."""
        process = self.running.pop(name, None)
        if process is not None:
            kill_group(process.pid)
            process.wait()

    def kill_child(self, name: str, dice: random.Random) -> int:
        """SIGKILL to one of the program's children; its number, 0 when it has none."""
        children = self.children(name)
        if not children:
            return 0
        chosen = dice.choice(children)
        with suppress(psutil.NoSuchProcess):
            chosen.kill()
        return int(chosen.pid)

    def children(self, name: str) -> list[psutil.Process]:
        process = self.running.get(name)
        if process is None:
            return []
        try:
            return sorted(psutil.Process(process.pid).children(recursive=True), key=lambda child: child.pid)
        except psutil.NoSuchProcess:
            return []

    def freeze(self, name: str) -> None:
        self._signal_group(name, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        self._signal_group(name, signal.SIGCONT)

    def ask_to_end(self, name: str) -> None:
        """SIGTERM to the program itself, as supervisors do."""
        if name in self.running:
            self.running[name].send_signal(signal.SIGTERM)

    def ended(self) -> list[tuple[str, int]]:
        """Programs that ended by themselves, with their exit codes; what is left of them is killed."""
        gone = [(name, process.poll()) for name, process in self.running.items()]
        found = [(name, code) for name, code in gone if code is not None]
        for name, _code in found:
            self.kill(name)
        return found

    def kill_all(self) -> None:
        for name in list(self.running):
            self.kill(name)

    def _signal_group(self, name: str, number: signal.Signals) -> None:
        process = self.running.get(name)
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)


class Installation:
    """Everything that `make demo` starts, on a folder of its own; use it in a `with` statement."""

    def __init__(self, folder: Path, *, scale: float) -> None:
        self.folder = folder
        self.scale = scale
        self.home: Home = find_home(folder / "data")
        self.logs = folder / "logs"
        self.logs.mkdir()
        self.postgres = Postgres(self.home, find_postgres(self.home), overrides=SERVER_SETTINGS)
        self.valkey = Valkey(self.home, find_valkey())
        self.fleet: Fleet

    def __enter__(self) -> Installation:
        try:
            self.postgres.start()
            self.valkey.start()
            environment = self._environment()
            os.environ.update(environment)
            commands = {program.name: program.command for program in self._programs()}
            self.fleet = Fleet(commands, environment, self.logs)
        except BaseException:
            self._stop_services()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "fleet"):
            self.fleet.kill_all()
        self._stop_services()

    def _stop_services(self) -> None:
        self.valkey.stop()
        self.postgres.stop()

    def _programs(self) -> Sequence[Any]:
        port = self.home.port("web")
        return list_programs(host="127.0.0.1", port=port, send_processes=2, localses=True)

    def _environment(self) -> dict[str, str]:
        web, localses = self.home.port("web"), self.home.port("localses")
        own = own_environment(os.environ, "CRASH_")
        # Measuring coverage in processes that are killed measures nothing and costs half of their speed.
        kept = {name: value for name, value in own.items() if not name.startswith(("COV_", "COVERAGE_", "LOCALSES_"))}
        data = self.home.path / "localses"
        return kept | {
            "DJANGO_SETTINGS_MODULE": "tests.crash.settings",
            "PYTHONPATH": str(PROJECT),
            "PYTHONUNBUFFERED": "1",
            "AMAZONSENDER_IGNORE_DOTENV": "1",
            "ENVIRONMENT": "crash",
            "DATA_DIR": str(self.home.path),
            "SECRET_KEY": self.home.secret("secret_key"),
            "TOKEN_KEYS": f"1:{self.home.secret('token_key')}",
            "PUBLIC_URL": f"http://127.0.0.1:{web}",
            "ALLOWED_HOSTS": "127.0.0.1",
            "DATABASE_URL": self.postgres.url,
            "CELERY_BROKER_URL": self.valkey.url(0),
            "CACHE_URL": self.valkey.url(1),
            "LOCALSES_URL": f"http://127.0.0.1:{localses}",
            "LOCALSES_HOST": "127.0.0.1",
            "LOCALSES_PORT": str(localses),
            "LOCALSES_PUBLIC_URL": f"http://127.0.0.1:{localses}",
            "LOCALSES_DATA": str(data),
            "LOCALSES_CERTIFICATE": str(data / "certificate.pem"),
            "LOCALSES_ACCESS_KEY": self.home.secret("localses_access_key", size=8),
            "LOCALSES_SECRET_KEY": self.home.secret("localses_secret_key", size=20),
            "CRASH_SCALE": str(self.scale),
            "CRASH_CLOCK_SECONDS": "0",
        }

    @property
    def web_url(self) -> str:
        return self.fleet.environment["PUBLIC_URL"]

    @property
    def localses_url(self) -> str:
        return self.fleet.environment["LOCALSES_URL"]

    def start_everything(self) -> None:
        """Start every program and wait until web and Local SES answer and the workers have begun."""
        for name in self.fleet.commands:
            self.fleet.start(name)
        urls = (f"{self.web_url}/health/live", f"{self.localses_url}/health")
        if not wait_for(lambda: all(map(answers, urls)), seconds=READY_SECONDS):
            raise RuntimeError(f"not everything answers; see {self.logs}")
        if not wait_for(lambda: all(map(self._has_begun, ("send", "work"))), seconds=READY_SECONDS):
            raise RuntimeError(f"the workers did not begin; see {self.logs}")

    def _has_begun(self, worker: str) -> bool:
        return f"{worker}@" in (text := (self.logs / f"{worker}.log").read_text(errors="replace")) and " ready." in text

    # ---- the database -----------------------------------------------------------------------------------

    def rows(
        self, query: str, params: Sequence[object] | Mapping[str, object] = (), *, database: str = DATABASE
    ) -> list[tuple[Any, ...]]:
        """Rows of a query, asked again while the server is away."""

        def ask() -> list[tuple[Any, ...]]:
            with psycopg.connect(self.url_of(database), autocommit=True, connect_timeout=5) as connection:
                cursor = connection.execute(query, params)
                return cursor.fetchall() if cursor.description else []

        return insist(ask, psycopg.OperationalError)

    def restart_postgres(self, how: signal.Signals) -> None:
        """End the server and start it: SIGQUIT stops at once and recovers from the log, SIGINT ends sessions first."""
        self._stop_postgres(how)
        self.postgres.start()

    def _stop_postgres(self, how: signal.Signals) -> None:
        process = self.postgres.process
        if process is not None:
            process.send_signal(how)
            process.wait(PATIENCE_SECONDS)
            kill_group(process.pid)
        self._stop_waiting_for_nobody()

    def hold_acknowledgements(self) -> None:
        """From now on commits are written and nobody hears of it: they wait for a standby that is not there."""
        self._administer(f"ALTER SYSTEM SET synchronous_standby_names = '{NOBODY}'", "SELECT pg_reload_conf()")

    def cut_acknowledgements(self) -> None:
        """End the sessions that wait; their transactions are there."""
        self._administer(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
            "ALTER SYSTEM RESET synchronous_standby_names",
            "SELECT pg_reload_conf()",
        )

    def copy_database(self, name: str) -> None:
        """A copy of the database as it is now, in the same server; every session is ended for it."""
        self._administer(
            f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS false"
        )
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while True:
                try:
                    self._administer(
                        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{DATABASE}'",
                        f"CREATE DATABASE {name} TEMPLATE {DATABASE}",
                    )
                except psycopg.errors.ObjectInUse:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.1)
                else:
                    return
        finally:
            self._administer(f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS true")

    def swap_databases(self, present: str, aside: str, wanted: str) -> None:
        """Put `wanted` in the place of `present`, which is kept as `aside`."""
        end_sessions = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'"

        def move(name: str, to: str) -> None:
            self._administer(end_sessions.format(name), f"ALTER DATABASE {name} RENAME TO {to}")

        # Somebody may come between the two statements.
        insist(lambda: move(present, aside), psycopg.errors.ObjectInUse)
        insist(lambda: move(wanted, present), psycopg.errors.ObjectInUse)

    def drop_database(self, name: str) -> None:
        self._administer(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def copy_files(self, name: str) -> None:
        """A snapshot of the server's files as they are now, beside them; the server is stopped for it."""
        self._stop_postgres(signal.SIGINT)
        subprocess.run(["cp", "-a", self.postgres.folder, self._beside(name)], check=True)
        self.postgres.start()

    def swap_files(self, aside: str, wanted: str) -> None:
        """Put the snapshot `wanted` in the place of the server's files, which are kept as `aside`."""
        self._stop_postgres(signal.SIGQUIT)
        self.postgres.folder.rename(self._beside(aside))
        self._beside(wanted).rename(self.postgres.folder)
        self.postgres.start()

    def drop_files(self, name: str) -> None:
        shutil.rmtree(self._beside(name), ignore_errors=True)

    def _beside(self, name: str) -> Path:
        return self.postgres.folder.with_name(name)

    def remembered_heartbeat(self) -> int:
        """What the cache remembers of the database; 0 when it was emptied or is away."""
        try:
            with redis.Redis.from_url(self.valkey.url(1)) as client:
                found = [int(client.get(key) or 0) for key in client.scan_iter("*engine-home:*")]
        except redis.RedisError:
            return 0
        return max(found, default=0)

    def url_of(self, database: str) -> str:
        return f"{self.postgres.url.rpartition('/')[0]}/{database}"

    def _administer(self, *statements: str) -> None:
        def run() -> None:
            with psycopg.connect(self.url_of("postgres"), autocommit=True, connect_timeout=5) as connection:
                for statement in statements:
                    connection.execute(statement)

        insist(run, psycopg.OperationalError, unless=psycopg.errors.ObjectInUse)

    def _stop_waiting_for_nobody(self) -> None:
        path = self.postgres.folder / "postgresql.auto.conf"
        kept = [line for line in path.read_text().splitlines(keepends=True) if NOBODY not in line]
        path.write_text("".join(kept))

    # ---- the broker -------------------------------------------------------------------------------------

    def queue_lengths(self) -> dict[str, int]:
        """How many tasks wait in each queue."""
        with redis.Redis.from_url(self.valkey.url(0)) as client:
            return {name: int(client.llen(name)) for name in ("send", "events", "imports", "default")}

    def flush_broker(self) -> None:
        with suppress(redis.RedisError), redis.Redis.from_url(self.valkey.url(0)) as client:
            client.flushall()

    def kill_broker(self) -> None:
        process = self.valkey.process
        if process is not None:
            process.kill()
            process.wait()

    def start_broker(self) -> None:
        self.valkey.start()


def insist(
    act: Callable[[], Result], *expected: type[BaseException], unless: type[BaseException] | tuple[type[BaseException], ...] = (),
    seconds: float = PATIENCE_SECONDS,
) -> Result:  # fmt: skip
    """Do it until it works; what is `expected` to go wrong meanwhile may do so for some seconds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return act()
        except expected as error:
            if isinstance(error, unless) or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
