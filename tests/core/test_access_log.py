import logging

import pytest
import structlog
from django.http import HttpResponse
from django.test import Client, RequestFactory
from pytest_django import Settings
from structlog.testing import capture_logs

from amazonsender.core import middleware
from organizations.models import Organization, User
from organizations.services.sign_in import create_sign_in_link


def test_each_request_is_one_event_with_the_route_and_the_organization(
    alice_client: Client, acme: Organization
) -> None:
    with capture_logs() as events:
        alice_client.get("/admin/team/?q=secret@acme.example")

    access = [event for event in events if event["event"] == "http.request"]
    assert len(access) == 1
    assert access[0]["ms"] > 0
    assert {key: access[0][key] for key in ("method", "route", "status", "organization", "log_level")} == {
        "method": "GET",
        "route": "admin/team/",
        "status": 200,
        "organization": acme.pk,
        "log_level": "info",
    }


def test_neither_tokens_nor_addresses_reach_the_log(client: Client, alice: User) -> None:
    link = create_sign_in_link(user=alice)

    with capture_logs() as events:
        client.post(link)
        client.get(f"/no/such/{alice.email}")

    assert link.split("/")[-2] not in str(events)
    assert alice.email not in str(events)
    assert [event["route"] for event in events if event["event"] == "http.request"] == ["sign-in/<str:token>/", ""]


@pytest.mark.django_db
def test_events_that_were_taken_leave_a_line_at_debug_alone(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    def lines() -> int:
        with capture_logs() as events:
            client.get("/webhooks/ses/")  # refused: 405
            client.get("/webhooks/account/1/")  # refused: 404
            middleware._log_access(RequestFactory().post("/webhooks/ses/"), HttpResponse(), ms=1.0)
        return len([event for event in events if event["event"] == "http.request"])

    assert lines() == 2
    with caplog.at_level(logging.DEBUG, logger="http.access"):
        assert lines() == 3


def test_health_and_static_files_are_quiet(client: Client) -> None:
    with capture_logs() as events:
        client.get("/health/live")
        client.get("/static/as/as.css")

    assert [(event["route"], event["status"], event["log_level"]) for event in events] == [
        ("/health/live", 200, "debug"),
        ("static", 200, "debug"),
    ]


def test_a_request_has_an_id_that_its_events_and_its_answer_share(client: Client) -> None:
    first, second = client.get("/health/live"), client.get("/health/live")

    assert len(first["X-Request-ID"]) == 32
    assert first["X-Request-ID"] != second["X-Request-ID"]
    assert structlog.contextvars.get_contextvars() == {}


@pytest.mark.parametrize(
    ("proxies", "given", "is_kept"),
    [(1, "proxy-id-1234", True), (0, "proxy-id-1234", False), (1, "x\nforged: 1", False), (1, "a" * 65, False)],
)
def test_only_a_trusted_proxys_plausible_id_is_kept(
    client: Client, settings: Settings, proxies: int, given: str, is_kept: bool
) -> None:
    settings.TRUSTED_PROXIES = proxies

    answer = client.get("/health/live", HTTP_X_REQUEST_ID=given)["X-Request-ID"]

    assert (answer == given) is is_kept
