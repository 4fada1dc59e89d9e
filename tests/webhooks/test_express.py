from __future__ import annotations

import pytest
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.test import Client

from amazonsender.core.express import _resolve_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths that the session middleware saw."""
    seen: list[str] = []
    process = SessionMiddleware.process_request

    def spy(self: SessionMiddleware, request: HttpRequest) -> None:
        seen.append(request.path)
        process(self, request)

    monkeypatch.setattr(SessionMiddleware, "process_request", spy)
    return seen


def test_events_and_pixels_meet_no_session(sessions: list[str]) -> None:
    client = Client()

    assert client.post("/webhooks/ses/", b"{}", content_type="text/plain").status_code == 400
    assert client.get("/o/whatever.gif")["Content-Type"] == "image/gif"
    assert client.get("/webhooks/ses/").status_code == 405

    assert sessions == []


def test_their_answers_carry_id_and_security_headers_all_the_same() -> None:
    response = Client().get("/o/whatever.gif")

    assert len(response["X-Request-ID"]) == 32
    assert response["X-Content-Type-Options"] == "nosniff"


def test_pixels_do_not_push_the_way_to_events_out_of_memory() -> None:
    client = Client()
    _resolve_once.cache_clear()
    client.get("/webhooks/ses/")

    for number in range(100):
        assert client.get(f"/o/token{number}.gif")["Content-Type"] == "image/gif"
    client.get("/webhooks/ses/")

    known = _resolve_once.cache_info()
    assert (known.hits, known.misses) == (1, 1)


def test_other_paths_go_the_long_way(sessions: list[str]) -> None:
    client = Client()

    assert client.get("/v/whatever").status_code == 404
    assert client.get("/webhooks/nobody").status_code == 404

    assert sessions == ["/v/whatever", "/webhooks/nobody"]
