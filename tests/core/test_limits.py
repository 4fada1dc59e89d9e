"""Every route has its limit, and neither Amazon nor readers ever meet one."""

from __future__ import annotations

import pytest
from django.core.checks import run_checks
from django.test import Client, override_settings
from pytest_django import Settings

from amazonsender import limits
from amazonsender.limits import LIMITS, Counted, Limit, limit_of
from delivery.tokens import track_token
from tests.core.test_checks import SERVER
from tests.organizations.wall import list_routes


def test_every_route_has_a_limit() -> None:
    assert [route.pattern for route in list_routes() if limit_of(route.pattern) is None] == []


def test_every_limit_is_of_some_route() -> None:
    routes = [route.pattern for route in list_routes()]

    assert [limit.prefix for limit in LIMITS if not any(route.startswith(limit.prefix) for route in routes)] == []


def test_what_amazon_and_readers_ask_for_counts_only_when_refused() -> None:
    theirs = ("^webhooks/", "^o/", "^c/", "u/", "p/")

    assert all(limit.counted is not Counted.ALL for limit in LIMITS if limit.prefix in theirs)


@pytest.mark.django_db
def test_a_mail_providers_proxy_fetches_a_thousand_pixels_a_minute(client: Client) -> None:
    pixel = f"/o/{track_token(83_000_001, 1)}.gif"

    assert {client.get(pixel).status_code for _ in range(1000)} == {200}


@pytest.mark.django_db
def test_forgeries_are_slowed_down_and_what_is_believed_still_comes_in(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LIMITS", (Limit("^webhooks/", "test", "5/m", Counted.REFUSED, ""),))

    answers = [client.post("/webhooks/ses/", b"{}", content_type="text/plain") for _ in range(7)]

    assert [answer.status_code for answer in answers] == [400] * 5 + [429] * 2
    assert int(answers[-1]["Retry-After"]) <= 60
    monkeypatch.setattr("webhooks.views.receive_sns", lambda body: None)
    assert client.post("/webhooks/ses/", b"{}", content_type="text/plain").status_code == 200


@pytest.mark.django_db
def test_pages_of_the_admin_and_scanners_have_theirs(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LIMITS", (Limit("admin/", "test", "2/m", Counted.ALL, ""),))
    monkeypatch.setattr(limits, "NOWHERE", Limit("", "nowhere", "2/m", Counted.REFUSED, ""))

    assert [client.get("/admin/login/").status_code for _ in range(3)] == [200, 200, 429]
    assert [client.get("/wp-login.php").status_code for _ in range(3)] == [404, 404, 429]
    assert client.get("/admin/login/", REMOTE_ADDR="203.0.113.9").status_code == 200


def test_a_network_of_proxies_that_is_none_is_refused(settings: Settings) -> None:
    with override_settings(**{**SERVER, "TRUSTED_PROXY_NETWORKS": ["10.0.0.1/8"]}):
        assert "amazonsender.E012" in {finding.id for finding in run_checks()}
