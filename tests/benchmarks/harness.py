"""What benchmarks share: a scratch database on real PostgreSQL, real Celery processes, and honest accounting of CPU."""

from __future__ import annotations

import multiprocessing
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import orjson
import psutil
import psycopg

from amazonsender.embedded.binaries import find_postgres, find_valkey
from amazonsender.embedded.home import find_home
from amazonsender.embedded.postgres import Postgres
from amazonsender.embedded.valkey import Valkey
from amazonsender.stack.programs import BLOCKING_THREADS

PROJECT = Path(__file__).resolve().parents[2]
SECRET_KEY = "benchmarks-only-" + "k" * 40
TOKEN_KEYS = "1:" + "5a" * 32
SERVER_SETTINGS = {"shared_buffers": "2GB", "max_wal_size": "8GB", "max_parallel_workers_per_gather": "0"}


def say(text: str = "") -> None:
    print(text, flush=True)


def last_line(figures: dict[str, object]) -> None:
    """The figures as one JSON object: the last line that a benchmark prints."""
    say(orjson.dumps(figures).decode())


@contextmanager
def services() -> Iterator[tuple[str, str]]:
    """Addresses of a PostgreSQL server (any database of it) and a broker.

    BENCH_DATABASE_URL and BENCH_BROKER_URL name others; else both are started from wheels, durable (fsync on) and with
    the memory that a server would get.
    """
    given_server, given_broker = os.environ.get("BENCH_DATABASE_URL"), os.environ.get("BENCH_BROKER_URL")
    with tempfile.TemporaryDirectory(prefix="amazonsender-bench-", dir=os.environ.get("BENCH_FOLDER")) as folder:
        Path(folder).chmod(0o755)
        home = find_home(Path(folder) / "data")
        with ExitStack() as stack:
            if not given_server:
                postgres = Postgres(home, find_postgres(home), overrides=SERVER_SETTINGS)
                stack.callback(postgres.stop)
                postgres.start()
                given_server = postgres.url
            if not given_broker:
                valkey = Valkey(home, find_valkey(), throwaway=True)
                stack.callback(valkey.stop)
                valkey.start()
                given_broker = valkey.url(0)
            yield given_server, given_broker


@contextmanager
def scratch_database(server: str, name: str) -> Iterator[str]:
    """A database of its own, dropped at the end. Yields its address."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
    try:
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def environment(database_url: str, broker: str, **more: str) -> dict[str, str]:
    """Production settings for the processes of a benchmark."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    return kept | {
        "AMAZONSENDER_IGNORE_DOTENV": "1",
        "DJANGO_SETTINGS_MODULE": "amazonsender.settings.production",
        "SECRET_KEY": SECRET_KEY,
        "TOKEN_KEYS": TOKEN_KEYS,
        "DATABASE_URL": database_url,
        "CELERY_BROKER_URL": broker,
        "CACHE_URL": broker,
        "ALLOWED_HOSTS": "mail.northwind.example",
        "LOG_LEVEL": "WARNING",
        **more,
    }


def set_up_django(env: dict[str, str]) -> None:
    """Make this process part of the benchmark's installation, and migrate its database."""
    os.environ.update(env)
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0, skip_checks=True)


def describe_machine(server: str) -> str:
    """One line: processor, cores, memory, PostgreSQL, how long an fdatasync takes, load."""
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        model = next(
            (line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line), ""
        )
    with psycopg.connect(server) as connection:
        row = connection.execute(
            "SELECT current_setting('server_version'), current_setting('shared_buffers'), current_setting('fsync'),"
            " current_setting('synchronous_commit'), current_setting('full_page_writes')"
        ).fetchone()
    version, buffers, fsync, synchronous, full_pages = row or ("?",) * 5
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"machine: {model or platform.processor()}, {os.cpu_count()} cores, {memory:.0f} GB, {platform.system()}, Python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.1f}\n"
        f"PostgreSQL {version}: shared_buffers={buffers} fsync={fsync} synchronous_commit={synchronous} full_page_writes={full_pages}, "
        f"fdatasync {fdatasync_us():.0f} µs"
    )


def fdatasync_us(count: int = 200) -> float:
    """Median time of an 8 KB write with fdatasync in the temporary folder, microseconds."""
    times = []
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(count):
            os.pwrite(file.fileno(), b"x" * 8192, 0)
            started = time.perf_counter()
            os.fdatasync(file.fileno()) if hasattr(os, "fdatasync") else os.fsync(file.fileno())
            times.append(time.perf_counter() - started)
    return sorted(times)[count // 2] * 1e6


class Cpu:
    """CPU seconds of Celery processes and of PostgreSQL, including children that have ended."""

    def __init__(self, server: str, processes: list[subprocess.Popen[bytes]]) -> None:
        with psycopg.connect(server) as connection:
            row = connection.execute("SELECT pg_backend_pid()").fetchone()
            self.postmaster = psutil.Process(row[0]).parent() if row else None
        self.workers = [psutil.Process(process.pid) for process in processes]

    @staticmethod
    def _tree(root: psutil.Process) -> float:
        times = root.cpu_times()
        total = times.user + times.system + times.children_user + times.children_system
        for child in root.children(recursive=True):
            try:
                own = child.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += own.user + own.system
        return float(total)

    def read(self) -> tuple[float, float]:
        """Python seconds, PostgreSQL seconds."""
        return sum(map(self._tree, self.workers)), self._tree(self.postmaster) if self.postmaster else 0.0


def celery(env: dict[str, str], *arguments: str, log: Path) -> subprocess.Popen[bytes]:
    """Start a Celery process of the installation."""
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "amazonsender", *arguments],
            cwd=PROJECT,
            env=env,
            stdout=output,
            stderr=output,
        )


def start_workers(env: dict[str, str], *, processes: int, log: Path) -> list[subprocess.Popen[bytes]]:
    """The workers of an installation: first the one that sends, in so many processes; then all else, and the scheduler."""
    return [
        celery(env, "worker", "-Q", "send", "-c", str(processes), "-n", "bench-send@%h", "--loglevel", "WARNING", log=log),
        celery(env, "worker", "-Q", "default,events,imports", "-c", "1", "-n", "bench-work@%h", "--loglevel", "WARNING", log=log),
        celery(env, "beat", "--pidfile", "", "--loglevel", "WARNING", log=log),
    ]  # fmt: skip


def start_web(env: dict[str, str], *, threads: int = BLOCKING_THREADS) -> tuple[subprocess.Popen[bytes], int]:
    """The web server as `runstack` starts it, on a free port; ready to answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port),
        "--workers", "1", "--blocking-threads", str(threads), "--no-ws", "--log-level", "warning",
        "amazonsender.wsgi:application",
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=PROJECT, env=env, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return process, port
    process.kill()
    raise SystemExit("the web server does not answer")


def from_another_process(target: Callable[..., None], *arguments: Any) -> Any:
    """Run `target` in a process of its own, as a load must be; what it puts into the queue, its last argument."""
    context = multiprocessing.get_context("fork")
    answers: Any = context.SimpleQueue()
    process = context.Process(target=target, args=(*arguments, answers))
    process.start()
    answer = answers.get()
    process.join()
    return answer


def end(processes: list[subprocess.Popen[bytes]]) -> None:
    """Stop processes as a supervisor would: ask, wait, insist."""
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def kill(processes: list[subprocess.Popen[bytes]]) -> None:
    """SIGKILL to the processes and to all that they started."""
    parents = [psutil.Process(process.pid) for process in processes]
    for process in [*parents, *(child for parent in parents for child in parent.children(recursive=True))]:
        process.kill()
    for one in processes:
        one.wait()
