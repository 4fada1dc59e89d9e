"""Real worker processes, stopped in the middle of sending."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from celery import Celery
from prometheus_client import CollectorRegistry
from pytest_django import Settings

from amazonsender.core import figures
from amazonsender.core.figure_files import add_sums
from delivery.engine.database import Connection
from delivery.engine.ticking import tick
from delivery.models import AccountPace, BatchState, CallState, EngineSlot, MessageBatch, SendCall
from delivery.selectors.progress import mailout_progress
from tests.benchmarks.provider_stub.process import StubProcess
from tests.delivery.engine.worker_processes import (
    SendWorker,
    running_broker,
    wait_for_loops,
    wait_for_recipients,
    wait_until_idle,
    wake,
)
from tests.delivery.engine.world import World

pytestmark = pytest.mark.processes


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Celery]:
    with running_broker(tmp_path) as app:
        yield app


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Ends what a failing test leaves running."""
    with ExitStack() as stack:
        yield stack


def test_a_worker_that_is_stopped_in_mid_send_settles_what_is_out_and_leaves_no_unknown(
    world: World, raw: Connection, broker: Celery, stack: ExitStack
) -> None:
    world.add_people(3000)
    mailout = world.launch()
    stub = stack.enter_context(StubProcess(latency_ms=400))
    worker = SendWorker(broker, stub)
    stack.callback(worker.close)
    wake(broker, 1)
    wait_for_recipients(stub, 200)

    seconds = worker.stop()

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


def test_an_upgrade_that_restarts_workers_one_by_one_goes_on_sending_and_leaves_no_unknown(
    world: World, raw: Connection, broker: Celery, stack: ExitStack
) -> None:
    AccountPace.objects.update(max_rate=200)
    world.add_people(4800)
    mailout = world.launch()
    stub = stack.enter_context(StubProcess(latency_ms=400))

    def start() -> SendWorker:
        worker = SendWorker(broker, stub)
        stack.callback(worker.close)
        return worker

    first, second = start(), start()
    wait_for_loops(broker, 2)
    wait_for_recipients(stub, 200)
    seconds = [first.stop()]
    third = start()  # the new version; the second goes on meanwhile
    wait_for_loops(broker, 2)
    wait_for_recipients(stub, stub.stats()["recipients"] + 100)
    seconds.append(second.stop())
    in_mid_send = stub.stats()["recipients"]
    AccountPace.objects.update(max_rate=100_000)
    stub.change(latency_ms=50)
    wake(broker, 1)
    wait_for_recipients(stub, 4800)
    seconds.append(third.stop())
    tick(raw, slots=2)

    assert max(seconds) < 20
    assert in_mid_send < 4800
    stats = stub.stats()
    assert stats["distinct"] == stats["recipients"] == 4800
    assert set(SendCall.objects.values_list("state", flat=True)) == {CallState.SETTLED}
    progress = mailout_progress(mailout)
    assert (progress.sent, progress.unknown, progress.failed, progress.state) == (4800, 0, 0, "finished")


def test_what_worker_processes_measured_is_summed_while_they_run_and_afterwards(
    world: World, broker: Celery, stack: ExitStack, settings: Settings, tmp_path: Path
) -> None:
    settings.METRICS_TOKEN, settings.METRICS_DIR = "t" * 32, tmp_path / "figures"
    world.add_people(600)
    world.launch()
    stub = stack.enter_context(StubProcess(latency_ms=20))
    measured = {"METRICS_TOKEN": settings.METRICS_TOKEN, "METRICS_DIR": str(settings.METRICS_DIR)}
    worker = SendWorker(broker, stub, processes=2, **measured)
    stack.callback(worker.close)
    wait_for_loops(broker, 1)
    wait_for_recipients(stub, 600)
    wait_until_idle()

    def told(name: str, **labels: str) -> float | None:
        registry = CollectorRegistry()
        add_sums(registry, figures.folder())
        return registry.get_sample_value(f"amazonsender_{name}", labels)

    calls = told("provider_call_seconds_count", provider="ses", answer="accepted")
    assert calls == stub.stats()["calls"]
    assert told("messages_total", outcome="sent") == 600
    worker.stop()
    assert told("messages_total", outcome="sent") == 600
    assert (told("task_seconds_count", task="delivery.tasks.run_slice", state="success") or 0) >= 1
