"""Health for load balancers and people: live says that the process answers, ready that its services do too."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog
from django.conf import settings
from django.core.cache import cache
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from kombu import Connection

from amazonsender.core.asking import Asker, NoAnswerError, on_a_living_connection

logger = structlog.get_logger(__name__)

KEPT_SECONDS: Final = 1.0  # a load balancer with many nodes must not become load of its own
TIMEOUT_SECONDS: Final = 2


@dataclass(frozen=True)
class Probe:
    """One service's answer."""

    name: str
    is_ok: bool
    ms: float

    def as_json(self) -> dict[str, object]:
        return {"state": "ok" if self.is_ok else "down", "ms": self.ms}


def ask_database() -> None:
    def ask() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{TIMEOUT_SECONDS}s"])

    on_a_living_connection(ask)


def ask_cache() -> None:
    cache.get("health")


def ask_broker() -> None:
    with Connection(settings.CELERY_BROKER_URL, connect_timeout=TIMEOUT_SECONDS) as broker:
        broker.ensure_connection(max_retries=1, timeout=TIMEOUT_SECONDS)


QUESTIONS: Final[dict[str, Callable[[], None]]] = {
    "database": ask_database,
    "cache": ask_cache,
    "broker": ask_broker,
}

NEEDED: Final = frozenset({"database"})  # without it nothing can be answered


def probe(name: str, question: Callable[[], None]) -> Probe:
    """Ask one service. What went wrong goes to the log only, since it may name hosts."""
    started = time.perf_counter()
    try:
        question()
    except Exception as error:  # noqa: BLE001 - whatever a driver raises means that it is down
        logger.warning("health.down", service=name, error=type(error).__name__)
        is_ok = False
    else:
        is_ok = True
    return Probe(name, is_ok, round((time.perf_counter() - started) * 1000, 1))


class Readiness:
    """The probes of the last second. All services are asked at once, so that the slowest decides how long it takes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._askers: dict[str, Asker[Probe]] = {}
        self._probes: list[Probe] = []

    def probes(self) -> list[Probe]:
        """Whoever comes while another one asks gets the last answers: a service that hangs holds one thread, not all,
        and that one for `TIMEOUT_SECONDS`."""
        if not self._lock.acquire(blocking=not self._probes):
            return self._probes
        try:
            if self._clock() - self._asked_at >= KEPT_SECONDS:
                self._probes = self._ask()
                self._asked_at = self._clock()
            return self._probes
        finally:
            self._lock.release()

    def _ask(self) -> list[Probe]:
        for name, question in QUESTIONS.items():
            self._askers.setdefault(name, Asker(name)).ask(partial(probe, name, question))
        return [_answer_of(name, self._askers[name]) for name in QUESTIONS]

    def forget(self) -> None:
        """Ask again the next time."""
        with self._lock:
            self._asked_at = float("-inf")


def _answer_of(name: str, asker: Asker[Probe]) -> Probe:
    try:
        return asker.answer(within=TIMEOUT_SECONDS)
    except NoAnswerError:
        logger.warning("health.down", service=name, error="no answer")
        return Probe(name, is_ok=False, ms=round(asker.seconds * 1000, 1))


readiness = Readiness()


def live(request: HttpRequest) -> HttpResponse:
    """Answer 200 as long as the process answers at all: restarting it would not mend a service."""
    return _answer({"status": "ok"}, status=200)


def ready(request: HttpRequest) -> HttpResponse:
    """Answer with each service's state and milliseconds: 503 without the database, else 200.

    Without cache or broker the process does its work: throttles fail open, and what is due stands in the database. To
    take it out of the balancer then would shut readers out, everywhere at once. It is "degraded", for people to see.
    """
    probes = readiness.probes()
    down = {one.name for one in probes if not one.is_ok}
    status = "unavailable" if down & NEEDED else "degraded" if down else "ok"
    body = {"status": status, "services": {one.name: one.as_json() for one in probes}}
    return _answer(body, status=503 if down & NEEDED else 200)


PATHS: Final = {"/health": ready, "/health/live": live, "/health/ready": ready}


class HealthMiddleware:
    """Answers the health paths before anything else looks at the request.

    Load balancers and Kubernetes ask by IP address, which ALLOWED_HOSTS would refuse, and without sessions.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return PATHS.get(request.path, self.get_response)(request)


def _answer(body: Mapping[str, object], *, status: int) -> JsonResponse:
    response = JsonResponse(dict(body), status=status)
    response.headers["Cache-Control"] = "no-store"
    return response
