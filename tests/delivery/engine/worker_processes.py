"""Real worker processes for engine tests, with a broker of their own and the provider stub to send to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from celery import Celery
from django.conf import settings

from amazonsender.embedded.binaries import find_valkey
from amazonsender.embedded.home import Home
from amazonsender.embedded.valkey import Valkey
from delivery.models import CallState, EngineSlot, SendCall
from tests.benchmarks.provider_stub.process import StubProcess
from tests.databases import database_url

PROJECT = Path(__file__).resolve().parents[3]


@contextmanager
def running_broker(folder: Path) -> Iterator[Celery]:
    """A broker that nobody else uses, and how to put tasks into it."""
    valkey = Valkey(Home(folder, as_root=False), find_valkey(), throwaway=True)
    valkey.start()
    # Not the current app: whatever is enqueued by later tests would wait for a broker that is gone.
    app = Celery("tests", broker=valkey.url(0), set_as_current=False)
    try:
        yield app
    finally:
        app.close()
        valkey.stop()


class SendWorker:
    """A worker of the queue `send` with so many processes, each of which runs an engine loop."""

    def __init__(self, broker: Celery, stub: StubProcess, *, processes: int = 1, slots: int = 2, **more: str) -> None:
        environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "amazonsender.settings.base",
            "DATABASE_URL": database_url(),
            "CELERY_BROKER_URL": broker.conf.broker_url,
            "ENGINE_SLOTS": str(slots),
            "LOCALSES_URL": stub.url,
            "LOCALSES_ACCESS_KEY": stub.access_key,
            "LOCALSES_SECRET_KEY": stub.secret_key,
            "PUBLIC_URL": settings.PUBLIC_URL,
            "SECRET_KEY": settings.SECRET_KEY,
            "TOKEN_KEYS": ",".join(settings.TOKEN_KEYS),
            **more,
        }
        command = [sys.executable, "-m", "celery", "--quiet", "--app", "amazonsender", "worker", "--queues", "send"]
        command += ["--concurrency", str(processes), "--without-gossip", "--without-mingle", "--loglevel", "WARNING"]
        command += ["--hostname", f"test-{id(self)}@%h"]
        self.process = subprocess.Popen(command, cwd=PROJECT, env=environment, start_new_session=True)

    def stop(self) -> float:
        """Ask it to end, as an upgrade does. Returns after how many seconds it has ended by itself."""
        asked_at = monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0
        return monotonic() - asked_at

    def close(self) -> None:
        """End it and its children, whatever they do."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def wake(broker: Celery, loops: int) -> None:
    """What a tick does when work is due and so many slots are free."""
    for _ in range(loops):
        broker.send_task("delivery.tasks.run_slice", queue="send")


def wait_for_recipients(stub: StubProcess, count: int, *, seconds: float = 30.0) -> None:
    """Until the provider has accepted so many."""
    deadline = monotonic() + seconds
    while (got := stub.stats()["recipients"]) < count:
        assert monotonic() < deadline, f"the provider has {got} of {count} recipients after {seconds} s"
        sleep(0.05)


def wait_for_loops(broker: Celery, count: int, *, seconds: float = 30.0) -> None:
    """Wake as the ticks do, until so many engine loops run at once."""
    deadline = monotonic() + seconds
    while (running := EngineSlot.objects.exclude(owner=None).count()) < count:
        assert monotonic() < deadline, f"{running} of {count} loops run after {seconds} s"
        wake(broker, count - running)
        sleep(0.5)


def wait_until_idle(*, seconds: float = 15.0) -> None:
    """Until no engine loop runs and nothing is out."""
    deadline = monotonic() + seconds
    while EngineSlot.objects.exclude(owner=None).exists() or SendCall.objects.filter(state=CallState.ARMED).exists():
        assert monotonic() < deadline, "engine loops do not come to rest"
        sleep(0.05)
