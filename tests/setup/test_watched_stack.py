"""/metrics of a whole running demo: every figure, right, over all processes, also after some of them were killed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from amazonsender.core.processes import wait_for
from amazonsender.embedded.home import Home, find_home, free_port
from tests.docs.test_watching import RULES

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "t" * 32
PEOPLE = 300
PATIENCE_SECONDS = 120.0
# What an operator is promised, by the words of docs/operations.md.
PROMISED = {
    "depth of the queues by lane": "amazonsender_queue_messages",
    "age of the queues by lane": "amazonsender_queue_age_seconds",
    "messages by outcome": "amazonsender_messages_total",
    "latency of the provider": "amazonsender_provider_call_seconds_bucket",
    "errors of the provider": "amazonsender_provider_call_seconds_count",
    "level of the bucket": "amazonsender_account_booked_seconds",
    "messages without an answer": "amazonsender_unknown_messages",
    "lag of events": "amazonsender_event_lag_seconds",
    "durations of tasks": "amazonsender_task_seconds_bucket",
}
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@dataclass
class Demo:
    """A demo of its own folder and port, and its launcher's process."""

    home: Home
    port: int
    process: subprocess.Popen[bytes]

    def scrape(self) -> Samples:
        """Samples by name and labels; nothing while the web server is away."""
        try:
            answer = httpx.get(
                f"http://127.0.0.1:{self.port}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10
            ).raise_for_status()
        except httpx.HTTPError:
            return {}
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }

    def total(self, name: str, **labels: str) -> float:
        """Sum of a figure over all other labels."""
        return sum(
            value
            for (known, given), value in self.scrape().items()
            if known == name and labels.items() <= dict(given).items()
        )

    def row(self, query: str) -> tuple[Any, ...]:
        with psycopg.connect(self.home.kept_environment()["DATABASE_URL"]) as connection:
            return connection.execute(query).fetchone() or ()

    def is_quiet(self) -> bool:
        """The campaign is over and its events are in."""
        candidates, waiting, inbox = self.row(
            "SELECT (SELECT count(*) FROM delivery_message), (SELECT count(*) FROM delivery_mailout WHERE finished_at IS NULL),"
            " (SELECT count(*) FROM delivery_inbox)"
        )
        return bool(candidates and not waiting and not inbox)

    def processes(self, *words: str) -> list[psutil.Process]:
        """Those of the demo whose command has all the words."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                command = " ".join(process.cmdline())
            except psutil.NoSuchProcess:
                continue
            if all(word in command for word in words):
                found.append(process)
        return found


@pytest.fixture
def demo() -> Iterator[Demo]:
    folder = Path(tempfile.mkdtemp(prefix="amazonsender-test-"))
    folder.chmod(0o755)
    port = free_port("127.0.0.1", 0)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COV_", "COVERAGE_", "TEST_")) and name not in ("HOST", "FRESH", "EXIT", "CHAOS")
    }
    environment = kept | {
        "DEMO_DATA_DIR": str(folder / "data"),
        "DEMO_METRICS_TOKEN": TOKEN,
        "PORT": str(port),
        "PEOPLE": str(PEOPLE),
        "LOCALSES_PORT": str(free_port("127.0.0.1", 0)),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "amazonsender.embedded", "demo"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
    )
    try:
        yield Demo(find_home(folder / "data"), port, process)
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def counters(samples: Samples) -> Samples:
    return {key: value for key, value in samples.items() if re.search(r"_(total|count|sum|bucket)$", key[0])}


def test_every_figure_is_there_right_and_summed_also_after_processes_were_killed(demo: Demo) -> None:
    assert wait_for(lambda: bool(demo.scrape()), seconds=PATIENCE_SECONDS, every=0.3)
    assert wait_for(demo.is_quiet, seconds=PATIENCE_SECONDS, every=0.3)
    accepted, failed, calls = demo.row(
        "SELECT (SELECT count(*) FROM delivery_message WHERE state = 1), (SELECT count(*) FROM delivery_message WHERE state = 3),"
        " (SELECT count(*) FROM delivery_send_call)"
    )
    assert accepted > PEOPLE / 2
    assert wait_for(
        lambda: demo.total("amazonsender_messages_total", outcome="sent") >= accepted, seconds=PATIENCE_SECONDS
    )

    before = demo.scrape()

    names = {name for name, _labels in before}
    assert set(PROMISED.values()) <= names
    quiet = {"amazonsender_unknown_messages", "amazonsender_away_from_home"}
    assert set(re.findall(r"amazonsender_[a-z_]+", RULES)) - names <= {
        "amazonsender_account_parked",
        "amazonsender_open_mailouts",
    }
    assert all(value == 0 for (name, _labels), value in before.items() if name in quiet)
    assert demo.total("amazonsender_provider_call_seconds_count") == calls
    assert demo.total("amazonsender_queue_messages") == demo.total("amazonsender_inbox_messages") == 0
    assert {dict(labels)["lane"] for name, labels in before if name == "amazonsender_queue_age_seconds"} == {
        "transactional",
        "automation",
        "campaign",
    }
    assert demo.total("amazonsender_messages_total", outcome="failed") == failed - rejected_by_events(demo)
    ran = {dict(labels)["task"] for name, labels in before if name == "amazonsender_task_seconds_count"}
    assert {"delivery.tasks.run_slice", "delivery.tasks.tick", "delivery.tasks.process_inbox"} <= ran
    assert any(
        "webhooks/ses" in dict(labels).get("route", "") and value > 0 for (_name, labels), value in before.items()
    )

    victims = demo.processes("granian") + demo.processes("celery", "worker")
    assert len(victims) >= 5  # web and its worker; two workers and their children
    for process in victims:
        if process.is_running():
            process.kill()
    old = {process.pid for process in victims}

    def is_back() -> bool:
        running = {process.pid for process in demo.processes("celery", "worker")} - old
        return len(running) >= 4 and bool(demo.scrape())

    assert wait_for(is_back, seconds=PATIENCE_SECONDS, every=0.5)
    ticks = counters(before)[
        ("amazonsender_task_seconds_count", (("state", "success"), ("task", "delivery.tasks.tick")))
    ]
    assert wait_for(
        lambda: demo.total("amazonsender_task_seconds_count", task="delivery.tasks.tick") > ticks,
        seconds=PATIENCE_SECONDS,
        every=0.5,
    )

    after = demo.scrape()

    fell = {key: (value, after.get(key)) for key, value in counters(before).items() if after.get(key, 0.0) < value}
    assert fell == {}
    assert (
        demo.total("amazonsender_messages_total", outcome="sent")
        == before[("amazonsender_messages_total", (("outcome", "sent"),))]
    )
    for name in ("amazonsender_armed_calls", "amazonsender_armed_call_age_seconds", "amazonsender_queue_messages"):
        assert demo.total(name) == 0


def rejected_by_events(demo: Demo) -> int:
    """Failed because an event said so, after its call had been accepted."""
    return int(demo.row("SELECT count(DISTINCT (mailout_id, n)) FROM delivery_event WHERE type IN (7, 8)")[0])
