"""Every route has its limit, and neither Amazon nor readers ever meet one."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import Mock

import pytest
import time_machine
from django.core.checks import run_checks
from django.test import Client, override_settings
from django.utils import timezone
from pytest_django import Settings

from amazonsender import limits
from amazonsender.limits import LIMITS, Counted, Limit, limit_of
from delivery.models import Inbox, SendingAccount
from delivery.tokens import manage_token, track_token
from organizations.models import Organization
from tests.cast import Cast
from tests.core.test_checks import SERVER
from tests.organizations.wall import list_routes
from tests.webhooks.signer import TOPIC, Signer
from webhooks.inbound import receiving
from webhooks.inbound.certificates import Certificates
from webhooks.inbound.topics import Topics


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


SNS_A_SECOND = 100


@pytest.fixture
def one_minute() -> Iterator[None]:
    """Time stands still: a count that begins anew in between would prove nothing."""
    with time_machine.travel(timezone.now(), tick=False):
        yield


@pytest.mark.django_db
def test_amazon_posts_a_hundred_a_second_in_bursts_from_one_address(
    client: Client, acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten seconds of it in one burst, more than what is refused may be in a minute."""
    signer = Signer()
    SendingAccount.objects.create(organization=acme, name="SES", region="eu-west-1", topic_arns=[TOPIC])
    monkeypatch.setattr(receiving, "certificates", Certificates(lambda _address: signer.certificate_pem))
    monkeypatch.setattr(receiving, "topics", Topics())
    bodies = [signer.notification(message_id=str(number)) for number in range(10 * SNS_A_SECOND)]

    answers = [client.post("/webhooks/ses/", body, content_type="text/plain") for body in bodies]

    assert {answer.status_code for answer in answers} == {200}
    assert Inbox.objects.count() == 10 * SNS_A_SECOND


@pytest.mark.django_db
def test_a_mail_provider_presses_one_click_for_a_thousand_readers(client: Client) -> None:
    pressed = {"List-Unsubscribe": "One-Click"}

    answers = {client.post(f"/u/{manage_token(number, 1)}", pressed).status_code for number in range(1000)}

    assert answers == {200}


@pytest.mark.django_db
def test_a_companys_gateway_looks_into_a_thousand_emails(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    letter = Mock(html="<p>Hello</p>", locale="en")
    monkeypatch.setattr("delivery.views.tracking.render_web_view", lambda _token: letter)

    answers = {client.get(f"/v/{track_token(83_000_001, number)}").status_code for number in range(1000)}

    assert answers == {200}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("proxies", "forwarded"),
    [
        (0, "198.51.100.{n}"),  # nobody is trusted
        (1, "198.51.100.{n}, 203.0.113.9"),  # written by the client, before what its proxy writes
        (1, "198.51.100.{n}, 192.0.2.{n}, 203.0.113.9"),
        (2, "203.0.113.9"),  # past one of the two
    ],
)
def test_nobody_gets_another_count_by_writing_a_header(
    client: Client, settings: Settings, cast: Cast, one_minute: None, proxies: int, forwarded: str
) -> None:
    settings.TRUSTED_PROXIES = proxies

    answers = [
        client.get(
            "/api/v1/key",
            headers={
                "Authorization": "Bearer ask_x",
                "X-Forwarded-For": forwarded.format(n=n),
                "Forwarded": f"for=10.9.8.{n}",
            },
        ).status_code
        for n in range(31)
    ]

    assert answers == [401] * 30 + [429]


@pytest.mark.django_db
def test_each_client_behind_a_trusted_proxy_has_its_own_count(
    client: Client, settings: Settings, cast: Cast, one_minute: None
) -> None:
    settings.TRUSTED_PROXIES = 1
    wrong = {"Authorization": "Bearer ask_x"}

    answers = {
        client.get("/api/v1/key", headers=wrong | {"X-Forwarded-For": f"198.51.100.{n}"}).status_code for n in range(60)
    }

    assert answers == {401}


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
