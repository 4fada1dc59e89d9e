"""What processes measure themselves, for Prometheus: provider calls, messages, tasks, requests.

Where nobody may read them they are off, and the library isn't even imported. Each process writes to a file of its own in
one folder per machine; whoever answers /metrics sums the files of all. A provider call, which carries up to fifty emails,
costs one observation: 3 µs.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from django.conf import settings

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

CALL_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6)
TASK_BUCKETS: Final = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 120.0, 600.0)
REQUEST_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Figures:
    """The figures of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        from prometheus_client import Counter, Histogram

        self.calls = Histogram(
            "amazonsender_provider_call_seconds",
            "Calls to sending services. answer: accepted, the signal, or the outcome of its first entry.",
            ["provider", "answer"],
            buckets=CALL_BUCKETS,
            registry=registry,
        )
        self.messages = Counter(
            "amazonsender_messages",
            "Messages by what became of them when their call was settled; retry: waits for another attempt.",
            ["outcome"],
            registry=registry,
        )
        self.tasks = Histogram(
            "amazonsender_task_seconds",
            "Runs of background tasks.",
            ["task", "state"],
            buckets=TASK_BUCKETS,
            registry=registry,
        )
        self.requests = Histogram(
            "amazonsender_http_request_seconds",
            "Requests by the route's pattern and the class of the answer.",
            ["method", "route", "status"],
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )


_figures: Figures | None = None


def are_wanted() -> bool:
    """Whether somebody may read them."""
    return bool(settings.METRICS_TOKEN or settings.METRICS_NETWORKS)


def folder() -> Path:
    """This machine's folder. By its name, since the number of a process means nothing on another one."""
    return Path(settings.METRICS_DIR) / socket.gethostname()


def start() -> None:
    """Begin to measure in this process and in those that fork from it, where the figures are wanted."""
    global _figures
    if _figures is not None or not are_wanted():
        return
    folder().mkdir(parents=True, exist_ok=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder())  # read when the library is imported, which is now
    from prometheus_client import CollectorRegistry

    _figures = Figures(CollectorRegistry())


def observe_call(provider: str, answer: str, seconds: float) -> None:
    """A call to a sending service."""
    if _figures is not None:
        _figures.calls.labels(provider, answer).observe(seconds)


def are_kept() -> bool:
    """Whether this process measures: what costs something to count is counted only then."""
    return _figures is not None


def count_messages(outcomes: Mapping[str, int]) -> None:
    """Messages by outcome, once per transaction that settled them."""
    if _figures is not None:
        for outcome, n in outcomes.items():
            if n:
                _figures.messages.labels(outcome).inc(n)


def observe_task(task: str, state: str, seconds: float) -> None:
    """A run of a background task."""
    if _figures is not None:
        _figures.tasks.labels(task, state).observe(seconds)


def observe_request(method: str, route: str, status: int, seconds: float) -> None:
    """A request. Invented methods are one, so that nobody makes figures grow."""
    if _figures is not None:
        method = method if method in METHODS else "other"
        _figures.requests.labels(method, route, f"{status // 100}xx").observe(seconds)
