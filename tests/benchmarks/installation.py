"""An installation for one benchmark: database and broker of its own, production settings, the provider stub for Amazon."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import newsletter
from tests.benchmarks.harness import (
    describe_machine,
    end,
    environment,
    say,
    scratch_database,
    services,
    set_up_django,
    start_workers,
)
from tests.benchmarks.provider_stub import StubProcess

START_SECONDS = 6.0  # workers import Django; the ticks begin


@dataclass(frozen=True)
class Installation:
    """Addresses of the server (any database of it), of the installation's database and of its broker; its environment."""

    server: str
    database: str
    broker: str
    env: dict[str, str]
    stub: StubProcess

    @contextmanager
    def workers(
        self, log: Path, *, processes: int = 2, seconds: float = START_SECONDS
    ) -> Iterator[list[subprocess.Popen[bytes]]]:
        """Its workers and the scheduler, `processes` of them for sending, ready after `seconds`; ended at the end."""
        started = start_workers(self.env, processes=processes, log=log)
        try:
            time.sleep(seconds)
            yield started
        finally:
            end(started)


@contextmanager
def installation(name: str, *, latency_ms: float = 0.0, **settings: str) -> Iterator[Installation]:
    """Start what it needs, migrate its database `name`, make this process part of it, and describe the machine."""
    with (
        services() as (server, broker),
        scratch_database(server, name) as database,
        StubProcess(latency_ms=latency_ms) as stub,
    ):
        say(describe_machine(server))
        env = environment(
            database,
            broker,
            PUBLIC_URL=newsletter.PUBLIC_URL,
            SES_ENDPOINT_URL=stub.url,
            AWS_ACCESS_KEY_ID=stub.access_key,
            AWS_SECRET_ACCESS_KEY=stub.secret_key,
            **settings,
        )
        set_up_django(env)
        yield Installation(server, database, broker, env, stub)
