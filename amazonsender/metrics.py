"""/metrics for Prometheus: what the processes of this machine measured, and what stands in PostgreSQL.

To everybody who may not read it the address doesn't exist.
"""

from __future__ import annotations

import hmac
import ipaddress
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder

from amazonsender.core import figures
from amazonsender.core.asking import Asker, NoAnswerError, on_a_living_connection
from amazonsender.core.figure_files import add_sums
from amazonsender.core.throttle import client_address
from delivery.selectors.figures import Figure, engine_figures

logger = structlog.get_logger(__name__)

PATH: Final = "/metrics"
KEPT_SECONDS: Final = 1.0
TIMEOUT_SECONDS: Final = 3.0  # above that of the question itself


class DatabaseFigures:
    """Asks PostgreSQL at most once a second and process, and says when it doesn't answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asker: Asker[list[Figure]] = Asker("figures")
        self._asked_at = float("-inf")
        self._known: list[Figure] | None = None

    def read(self) -> list[Figure] | None:
        """None while the database doesn't answer in time."""
        with self._lock:
            if time.monotonic() - self._asked_at >= KEPT_SECONDS:
                self._asker.ask(partial(on_a_living_connection, engine_figures))
                try:
                    self._known = self._asker.answer(within=TIMEOUT_SECONDS)
                except (DatabaseError, InterfaceError, NoAnswerError) as error:
                    logger.warning("metrics.database_down", error=type(error).__name__)
                    self._known = None
                self._asked_at = time.monotonic()
            return self._known

    def forget(self) -> None:
        """Ask again the next time."""
        self._asked_at = float("-inf")

    def collect(self) -> Iterator[Metric]:
        known = self.read()
        up = GaugeMetricFamily("amazonsender_database_up", "1 when PostgreSQL answered in time.")
        up.add_metric([], float(known is not None))
        yield up
        for figure in known or []:
            family = GaugeMetricFamily(figure.name, figure.help, labels=figure.labels)
            for labels, value in figure.samples:
                family.add_metric(labels, value)
            yield family


database_figures = DatabaseFigures()


class MetricsMiddleware:
    """Answers /metrics before hosts, sessions and users are looked at: Prometheus asks by IP address."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path != PATH:
            return self.get_response(request)
        if not may_read(request):
            return HttpResponse("Not found.\n", status=404, content_type="text/plain")
        return show_metrics(request)


def show_metrics(request: HttpRequest) -> HttpResponse:
    """Answer in the format that the asker prefers."""
    registry = CollectorRegistry()
    add_sums(registry, figures.folder())
    registry.register(database_figures)
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry), headers={"Content-Type": content_type, "Cache-Control": "no-store"})


def may_read(request: HttpRequest) -> bool:
    """Whether the request has the token, where one is set, and comes from one of the networks, where some are."""
    token, networks = settings.METRICS_TOKEN, settings.METRICS_NETWORKS
    if not figures.are_wanted():
        return False
    if token and not hmac.compare_digest(request.headers.get("Authorization", "").encode(), f"Bearer {token}".encode()):
        return False
    address = client_address(request)
    return not networks or (
        address is not None and any(address in ipaddress.ip_network(network) for network in networks)
    )
