"""/metrics: who may read it, what it says, and that the processes' figures are summed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from django.core.checks import run_checks
from django.db import DatabaseError
from django.test import Client, override_settings
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from pytest_django import Settings

from amazonsender import metrics
from amazonsender.core import figure_files, figures
from delivery.selectors.figures import Figure
from tests.core.test_checks import SERVER

PROJECT = Path(__file__).resolve().parents[2]
TOKEN = "t" * 32
BEARER = {"authorization": f"Bearer {TOKEN}"}
GUARDS = {"amazonsender.E009", "amazonsender.E010", "amazonsender.E011"}
# Another process: the library decides at its import where figures are kept.
MEASURE = """
import django
django.setup()
from amazonsender.core import figures
figures.observe_call("ses", "throttled", 0.03)
figures.count_messages({"sent": 50, "unknown": 0})
"""


@pytest.fixture(autouse=True)
def asked_anew() -> None:
    metrics.database_figures.forget()


@pytest.fixture
def measured(settings: Settings, tmp_path: Path) -> Settings:
    settings.METRICS_TOKEN, settings.METRICS_DIR = TOKEN, tmp_path
    figures.folder().mkdir()
    return settings


def measure_elsewhere(folder: Path) -> None:
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "amazonsender.settings.test",
        "METRICS_TOKEN": TOKEN,
        "METRICS_DIR": str(folder),
    }
    subprocess.run([sys.executable, "-c", MEASURE], env=environment, cwd=PROJECT, check=True)


@pytest.mark.parametrize(
    ("token", "networks", "given", "address", "status"),
    [
        ("", [], "", "127.0.0.1", 404),  # nobody may: the address does not exist
        (TOKEN, [], "", "10.0.0.1", 404),
        (TOKEN, [], f"Bearer {TOKEN}x", "10.0.0.1", 404),
        (TOKEN, [], f"Bearer {TOKEN}", "10.0.0.1", 200),
        ("", ["10.0.0.0/8"], "", "10.0.0.1", 200),
        ("", ["10.0.0.0/8"], "", "11.0.0.1", 404),
        (TOKEN, ["10.0.0.0/8"], f"Bearer {TOKEN}", "11.0.0.1", 404),
        (TOKEN, ["10.0.0.0/8"], "Bearer ü", "10.0.0.1", 404),
        ("", ["2001:db8::/32", "10.0.0.1"], "", "2001:db8::7", 200),
    ],
)
@pytest.mark.django_db
def test_only_those_who_may_read_find_the_address(
    client: Client, measured: Settings, token: str, networks: list[str], given: str, address: str, status: int
) -> None:
    measured.METRICS_TOKEN, measured.METRICS_NETWORKS = token, networks

    assert client.get("/metrics", HTTP_AUTHORIZATION=given, REMOTE_ADDR=address).status_code == status


@pytest.mark.django_db
def test_a_host_name_that_is_not_ours_is_no_hindrance(client: Client, measured: Settings) -> None:
    measured.ALLOWED_HOSTS = ["mail.acme.example"]

    assert client.get("/metrics", HTTP_HOST="10.0.0.7:8000", headers=BEARER).status_code == 200


@pytest.mark.django_db
def test_a_forwarded_address_counts_only_from_a_trusted_proxy(client: Client, measured: Settings) -> None:
    measured.METRICS_TOKEN, measured.METRICS_NETWORKS = "", ["10.0.0.0/8"]

    spoofed = client.get("/metrics", REMOTE_ADDR="203.0.113.9", HTTP_X_FORWARDED_FOR="10.0.0.1")

    assert spoofed.status_code == 404


@pytest.mark.django_db
def test_figures_of_other_processes_are_summed_after_they_ended(
    client: Client, measured: Settings, tmp_path: Path
) -> None:
    for _process in range(2):
        measure_elsewhere(tmp_path)

    shown = client.get("/metrics", headers=BEARER).content.decode()

    assert 'amazonsender_provider_call_seconds_count{answer="throttled",provider="ses"} 2.0' in shown
    assert 'amazonsender_provider_call_seconds_bucket{answer="throttled",le="0.025",provider="ses"} 0.0' in shown
    assert 'amazonsender_messages_total{outcome="sent"} 100.0' in shown
    assert 'outcome="unknown"' not in shown
    assert "amazonsender_database_up 1.0" in shown

    folder = figures.folder()
    assert figure_files.fold(folder, keep=0) == 4  # a counter's and a histogram's of each
    assert sorted(path.name for path in folder.glob("*.db")) == ["counter_0.db", "histogram_0.db"]
    assert client.get("/metrics", headers=BEARER).content.decode().count("} 100.0") == shown.count("} 100.0")
    measure_elsewhere(tmp_path)
    assert figure_files.fold(folder, keep=0) == 2
    assert (
        'amazonsender_messages_total{outcome="sent"} 150.0' in client.get("/metrics", headers=BEARER).content.decode()
    )


def test_nobody_folds_while_somebody_does(tmp_path: Path) -> None:
    (tmp_path / "counter_999999999.db").touch()

    with figure_files._alone(tmp_path) as is_alone:
        assert is_alone
        assert figure_files.fold(tmp_path, keep=0) == 0

    assert (tmp_path / "counter_999999999.db").exists()


def test_nobody_folds_while_somebody_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "counter_999999999.db").touch()
    folded: list[int] = []

    def merge(_paths: list[str], *, accumulate: bool) -> list[Metric]:
        folded.append(figure_files.fold(tmp_path, keep=0))
        return []

    monkeypatch.setattr(MultiProcessCollector, "merge", merge)

    assert figure_files.Sums(tmp_path).collect() == []
    assert folded == [0]
    assert (tmp_path / "counter_999999999.db").exists()


def test_a_file_that_a_killed_process_had_just_opened_is_no_hindrance(measured: Settings, tmp_path: Path) -> None:
    measure_elsewhere(tmp_path)
    folder = figures.folder()
    for name in ("counter_999999999.db", "histogram_999999999.db"):
        (folder / name).touch()

    def told() -> float | None:
        registry = CollectorRegistry()
        registry.register(figure_files.Sums(folder))
        return registry.get_sample_value("amazonsender_messages_total", {"outcome": "sent"})

    assert told() == 50
    assert figure_files.fold(folder, keep=0) == 4
    assert told() == 50


def test_a_database_that_hangs_is_told_as_one_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    may_end = threading.Event()
    monkeypatch.setattr(metrics, "TIMEOUT_SECONDS", 0.01)
    monkeypatch.setattr(metrics, "engine_figures", lambda: may_end.wait(10) and [])
    asking = metrics.DatabaseFigures()

    assert asking.read() is None
    asking.forget()
    assert asking.read() is None

    may_end.set()
    monkeypatch.setattr(metrics, "TIMEOUT_SECONDS", 10)
    asking.forget()
    assert asking.read() == []


def test_a_process_that_runs_keeps_its_file(tmp_path: Path) -> None:
    (tmp_path / f"counter_{os.getpid()}.db").touch()

    assert figure_files.fold(tmp_path, keep=0) == 0


def test_while_the_database_is_down_the_processes_figures_are_shown(
    client: Client, measured: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise DatabaseError("down")

    monkeypatch.setattr(metrics, "engine_figures", refuse)

    shown = client.get("/metrics", headers=BEARER)

    assert shown.status_code == 200
    assert "amazonsender_database_up 0.0" in shown.content.decode()
    assert "amazonsender_queue_messages" not in shown.content.decode()


@pytest.mark.django_db
def test_postgresql_is_asked_once_a_second(client: Client, measured: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def ask() -> list[Figure]:
        asked.append(1)
        return []

    monkeypatch.setattr(metrics, "engine_figures", ask)

    for _ in range(5):
        client.get("/metrics", headers=BEARER)

    assert asked == [1]


def test_where_nobody_may_read_nothing_is_measured(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    figures.start()

    assert figures._figures is None
    figures.observe_call("ses", "accepted", 0.1)
    figures.count_messages({"sent": 1})
    figures.observe_task("x", "success", 0.1)
    figures.observe_request("GET", "", 200, 0.1)


def test_requests_and_tasks_are_measured_by_route_and_name(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = CollectorRegistry()
    monkeypatch.setattr(figures, "_figures", figures.Figures(registry))

    client.get("/health/live")
    client.generic("BREW", "/health/live")
    figures.observe_task("delivery.tasks.tick", "success", 0.02)

    def count(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"amazonsender_{name}_seconds_count", labels)

    assert count("http_request", method="GET", route="/health/live", status="2xx") == 1
    assert count("http_request", method="other", route="/health/live", status="2xx") == 1
    assert count("task", task="delivery.tasks.tick", state="success") == 1


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"METRICS_NETWORKS": ["10.0.0.1/8"]}, ["amazonsender.E009"]),
        ({"METRICS_TOKEN": "short"}, ["amazonsender.E010"]),
        ({"METRICS_NETWORKS": ["0.0.0.0/0"]}, ["amazonsender.E011"]),
        ({"METRICS_NETWORKS": ["127.0.0.1"], "TRUSTED_PROXIES": 0}, ["amazonsender.E011"]),
        ({"METRICS_NETWORKS": ["127.0.0.1"]}, []),
        ({"METRICS_NETWORKS": ["0.0.0.0/0"], "METRICS_TOKEN": TOKEN}, []),
    ],
)
def test_a_guard_that_guards_nothing_is_refused(change: dict[str, object], finding: list[str]) -> None:
    with override_settings(**{**SERVER, **change}):
        found = [str(one.id) for one in run_checks() if str(one.id) in GUARDS]

    assert sorted(found) == finding
