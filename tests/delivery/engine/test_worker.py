"""A real worker process, stopped in the middle of sending."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest
import redis
from celery import Celery
from django.conf import settings
from django.db import connection

from delivery.engine.database import Connection
from delivery.engine.ticking import tick
from delivery.models import BatchState, CallState, EngineSlot, MessageBatch, SendCall
from delivery.selectors.progress import mailout_progress
from tests.benchmarks.provider_stub.process import StubProcess
from tests.delivery.engine.world import World

pytestmark = pytest.mark.processes

BROKER = "redis://127.0.0.1:6379/7"
PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture
def broker() -> Iterator[Celery]:
    client = redis.Redis.from_url(BROKER, socket_connect_timeout=1)
    try:
        client.ping()
    except redis.RedisError:
        pytest.skip("no Redis on this machine")
    client.flushdb()
    app = Celery("tests", broker=BROKER)
    yield app
    app.close()
    client.flushdb()
    client.close()


def start_worker(provider_url: str, stub: StubProcess) -> subprocess.Popen[bytes]:
    database = connection.settings_dict
    user = database["USER"] + (f":{database['PASSWORD']}" if database["PASSWORD"] else "")
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "amazonsender.settings.base",
        "DATABASE_URL": f"postgresql://{user}@{database['HOST']}:{database['PORT'] or 5432}/{database['NAME']}",
        "CELERY_BROKER_URL": BROKER,
        "LOCALSES_URL": provider_url,
        "LOCALSES_ACCESS_KEY": stub.access_key,
        "LOCALSES_SECRET_KEY": stub.secret_key,
        "PUBLIC_URL": settings.PUBLIC_URL,
        "SECRET_KEY": settings.SECRET_KEY,
        "TOKEN_KEYS": ",".join(settings.TOKEN_KEYS),
    }
    command = [sys.executable, "-m", "celery", "--quiet", "--app", "amazonsender", "worker"]
    command += ["--queues", "send", "--concurrency", "1", "--without-gossip", "--without-mingle", "--loglevel", "INFO"]
    return subprocess.Popen(command, cwd=PROJECT, env=environment)


def wait_until(stub: StubProcess, recipients: int, worker: subprocess.Popen[bytes]) -> None:
    deadline = monotonic() + 30
    while stub.stats()["recipients"] < recipients:
        assert worker.poll() is None, "the worker ended by itself"
        assert monotonic() < deadline, "the worker sent nothing"
        sleep(0.05)


def test_a_worker_that_is_stopped_in_mid_send_settles_what_is_out_and_leaves_no_unknown(
    world: World, raw: Connection, broker: Celery
) -> None:
    world.add_people(3000)
    mailout = world.launch()
    with StubProcess(latency_ms=400) as stub:
        worker = start_worker(stub.url, stub)
        try:
            broker.send_task("delivery.tasks.run_slice", queue="send")
            wait_until(stub, 200, worker)
            worker.send_signal(signal.SIGTERM)
            stopped_at = monotonic()
            assert worker.wait(20) == 0
            seconds = monotonic() - stopped_at
        finally:
            if worker.poll() is None:
                worker.kill()
                worker.wait()
        stats = stub.stats()

    progress = mailout_progress(mailout)
    assert seconds < 20
    assert 200 <= stats["recipients"] < 3000
    assert stats["distinct"] == stats["recipients"] == progress.sent
    assert (progress.unknown, progress.failed, progress.waiting) == (0, 0, 3000 - progress.sent)
    assert not SendCall.objects.filter(state__in=[CallState.ARMED, CallState.LOST]).exists()
    assert not MessageBatch.objects.filter(state=BatchState.CLAIMED).exists()
    assert not EngineSlot.objects.exclude(owner=None).exists()

    world.run(seconds=15)  # another process goes on at once, with the rest
    tick(raw, slots=2)

    assert len(world.provider.handed_over) == 3000 - progress.sent
    assert mailout_progress(mailout).sent == 3000
