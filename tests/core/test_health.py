import itertools
import threading
from collections.abc import Iterator
from functools import partial

import pytest
from django.db import connection
from django.test import Client
from pytest_django import Settings

from amazonsender.core import health


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    health.readiness.forget()
    yield
    health.readiness.forget()


@pytest.fixture
def working_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(health.QUESTIONS, "broker", lambda: None)


def refuse() -> None:
    raise ConnectionError("secret-host.internal refused")


def test_live_answers_without_asking_any_service(client: Client) -> None:
    response = client.get("/health/live")  # a query would fail: this test has no database

    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/health", "/health/ready"])
def test_ready_names_each_service_with_its_milliseconds(client: Client, path: str, working_broker: None) -> None:
    response = client.get(path)

    body = response.json()
    assert response.status_code == 200
    assert body["status"] == "ok"
    assert list(body["services"]) == ["database", "cache", "broker"]
    assert all(service["state"] == "ok" and service["ms"] >= 0 for service in body["services"].values())
    assert response["Cache-Control"] == "no-store"


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["database", "cache", "broker"])
def test_a_service_that_is_down_is_told_without_telling_why(
    client: Client, monkeypatch: pytest.MonkeyPatch, name: str, working_broker: None
) -> None:
    monkeypatch.setitem(health.QUESTIONS, name, refuse)

    response = client.get("/health/ready")

    assert response.status_code == (503 if name == "database" else 200)
    assert response.json()["status"] == ("unavailable" if name == "database" else "degraded")
    states = {service: answer["state"] for service, answer in response.json()["services"].items()}
    assert states == {**dict.fromkeys(["database", "cache", "broker"], "ok"), name: "down"}
    assert b"secret-host" not in response.content


@pytest.mark.django_db
def test_a_probe_by_ip_address_is_answered_and_nothing_else_is(
    client: Client, settings: Settings, working_broker: None
) -> None:
    settings.ALLOWED_HOSTS = ["mail.acme.example"]

    assert client.get("/health/live", HTTP_HOST="10.1.2.3").status_code == 200
    assert client.get("/health/ready", HTTP_HOST="10.1.2.3").status_code == 200
    assert client.get("/admin/login/", HTTP_HOST="10.1.2.3").status_code == 400


def test_the_broker_is_really_asked(settings: Settings) -> None:
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"

    assert health.probe("broker", health.ask_broker).is_ok is False


def test_services_are_asked_at_most_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now: list[float] = [100.0]
    asked: list[str] = []
    for name in health.QUESTIONS:
        monkeypatch.setitem(health.QUESTIONS, name, partial(asked.append, name))
    readiness = health.Readiness(clock=lambda: now[0])

    for seconds in (0.0, 0.5, 0.49, 0.5):
        now[0] += seconds
        readiness.probes()

    assert sorted(asked) == sorted(["database", "cache", "broker"] * 2)


def test_who_comes_while_a_service_hangs_gets_the_last_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    readiness = health.Readiness(clock=lambda: now[0])
    hangs, may_end = threading.Event(), threading.Event()
    monkeypatch.setattr(health, "QUESTIONS", {"database": lambda: None})
    first = readiness.probes()

    def hang() -> None:
        hangs.set()
        may_end.wait(10)

    monkeypatch.setattr(health, "QUESTIONS", {"database": hang})
    now[0] = 5.0
    asking = threading.Thread(target=readiness.probes)
    asking.start()
    assert hangs.wait(10)

    assert readiness.probes() is first

    may_end.set()
    asking.join(10)
    assert readiness.probes() is not first


def test_a_service_that_does_not_answer_is_down_and_holds_nobody_else_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now, may_end, asked = [0.0], threading.Event(), list[str]()
    monkeypatch.setattr(health, "TIMEOUT_SECONDS", 0.02)

    def hang() -> None:
        asked.append("cache")
        may_end.wait(10)

    monkeypatch.setattr(health, "QUESTIONS", {"database": lambda: None, "cache": hang, "broker": lambda: None})
    readiness = health.Readiness(clock=lambda: now[0])

    for _ in range(3):
        states = {one.name: one.is_ok for one in readiness.probes()}
        assert states == {"database": True, "cache": False, "broker": True}
        now[0] += 1.0
    assert asked == ["cache"]  # once, as long as it has not answered

    may_end.set()
    monkeypatch.setattr(health, "TIMEOUT_SECONDS", 10)
    for _ in range(2):  # the open question is answered, then it is asked anew
        assert all(one.is_ok for one in readiness.probes())
        now[0] += 1.0
    assert asked == ["cache", "cache"]


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_died_says_nothing_about_the_server() -> None:
    readiness = health.Readiness(clock=itertools.count(step=2).__next__)
    assert readiness.probes()[0].is_ok

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    assert readiness.probes()[0].is_ok
