"""A PostgreSQL server of our own on a loopback port."""

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from amazonsender.core.processes import command_of, end, end_stranger, spawn, wait_for
from amazonsender.embedded.binaries import OWN_BINARIES, PostgresBinaries
from amazonsender.embedded.errors import EmbeddedError
from amazonsender.embedded.home import UNPRIVILEGED_ID, Home

USER = "amazonsender"
DATABASE = "amazonsender"
START_SECONDS = 60.0
STOP_SECONDS = 20.0
LOG_LIMIT_BYTES = 5_000_000

# Modest, so that it runs beside everything else on a laptop and in a container with 64 MB of /dev/shm: the shared
# buffers are anonymous memory, and what parallel queries share goes to files in the data folder.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_memory_type": "mmap",
    "dynamic_shared_memory_type": "mmap",
    "shared_buffers": "256MB",
    "max_connections": "150",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
}
# A test's database is thrown away, so nothing in it has to survive a power cut.
THROWAWAY_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_wal_size": "512MB"}
# Nothing of the person's own: a PGDATA or PGOPTIONS would reach the server.
PLAIN_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}


@dataclass
class Postgres:
    """One server with its data in ``home``; ``throwaway`` trades durability for speed, ``overrides`` are settings."""

    home: Home
    binaries: PostgresBinaries
    throwaway: bool = False
    port: int = 0
    overrides: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    name = "postgres"

    @property
    def folder(self) -> Path:
        return self.home.path / "postgres"

    @property
    def log_path(self) -> Path:
        return self.home.path / "postgres.log"

    @property
    def url(self) -> str:
        password = self.home.secret("postgres_password", size=16)
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{DATABASE}"

    def start(self) -> None:
        """Start it; make the cluster and the database the first time."""
        self._make_cluster()
        end_left_over_postgres(self.folder)
        self.port = self.home.port("postgres")
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_LIMIT_BYTES:
            self.log_path.unlink()
        settings = SETTINGS | {"port": str(self.port)} | (THROWAWAY_SETTINGS if self.throwaway else {}) | self.overrides
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with self.log_path.open("a", encoding="utf-8") as log:
            self.process = spawn(
                [self.binaries.folder / "postgres", "-D", self.folder, *options],
                env=PLAIN_ENVIRONMENT,
                output=log,
                die_with_parent=signal.SIGINT,
                user=self._user,
                cwd=self.folder,
            )
        self._wait_until_ready()
        self._make_database()

    def stop(self, *, how: signal.Signals = signal.SIGINT) -> None:
        """End it within seconds; clients still connected are turned away and their work rolled back."""
        if self.process is not None:
            end(self.process, how, seconds=STOP_SECONDS)
            self.process = None

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def _user(self) -> int | None:
        return UNPRIVILEGED_ID if self.home.as_root else None

    def _make_cluster(self) -> None:
        if self.folder.exists():
            found = (self.folder / "PG_VERSION").read_text(encoding="ascii").strip()
            if found != str(self.binaries.major):
                raise EmbeddedError(
                    f"{self.folder} was made by PostgreSQL {found}, and this is {self.binaries.major}. "
                    f"Start over with `python3 run.py wipe`, or set {OWN_BINARIES} to the older programs."
                )
            return
        # Made beside its place and then renamed, so that an interrupted first start leaves nothing half made.
        staging = self.folder.with_suffix(".new")
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(mode=0o700)
        password_file = self.home.path / "initial-password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.home.secret("postgres_password", size=16), encoding="ascii")
        if self._user is not None:
            os.chown(staging, self._user, self._user)
            os.chown(password_file, self._user, self._user)
        try:
            self._run_initdb(staging, password_file)
        finally:
            password_file.unlink()
        staging.replace(self.folder)

    def _run_initdb(self, folder: Path, password_file: Path) -> None:
        # C.UTF-8 of the server's own: the same order of text on every machine, whatever its libc has installed.
        builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if self.binaries.major >= 17 else []
        command: list[str | Path] = [
            self.binaries.folder / "initdb", "-D", folder, f"--username={USER}", f"--pwfile={password_file}",
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions", *builtin,
        ]  # fmt: skip
        with self.log_path.open("a", encoding="utf-8") as log:
            process = spawn(command, env=PLAIN_ENVIRONMENT, output=log, user=self._user, cwd=folder)
        if process.wait(START_SECONDS) != 0:
            raise EmbeddedError(f"PostgreSQL's data folder could not be made. {self._last_words()}")

    def _wait_until_ready(self) -> None:
        def answered() -> bool:
            if not self.alive:
                raise EmbeddedError(f"PostgreSQL didn't start. {self._last_words()}")
            with suppress(psycopg.OperationalError):
                psycopg.connect(self._maintenance_url, connect_timeout=5).close()
                return True
            return False

        if not wait_for(answered, seconds=START_SECONDS):
            self.stop()
            raise EmbeddedError(f"PostgreSQL didn't answer within {START_SECONDS:.0f} s. {self._last_words()}")

    def _make_database(self) -> None:
        with psycopg.connect(self._maintenance_url, autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if known is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))

    @property
    def _maintenance_url(self) -> str:
        return self.url.rpartition("/")[0] + "/postgres"

    def _last_words(self) -> str:
        with suppress(OSError):
            lines = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
            return "\n".join([f"The end of {self.log_path}:", *lines[-8:]])
        return f"See {self.log_path}."


def end_left_over_postgres(folder: Path) -> None:
    """End a server that a killed run left behind on ``folder``, and clear the mark of one that is gone.

    PostgreSQL refuses to start while the process number in postmaster.pid exists, even if it belongs to another
    program by now, as it regularly does after a container was restarted.
    """
    mark = folder / "postmaster.pid"
    try:
        pid = int(mark.read_text(encoding="ascii").splitlines()[0])
    except (OSError, ValueError, IndexError):
        mark.unlink(missing_ok=True)
        return
    if str(folder) in command_of(pid):
        end_stranger(pid, signal.SIGINT, seconds=STOP_SECONDS)
    mark.unlink(missing_ok=True)
