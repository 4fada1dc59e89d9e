from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from django.db import OperationalError
from django.http.request import UnreadablePostError
from django.test import Client, RequestFactory
from pytest_django import Settings
from structlog.testing import capture_logs

from delivery.models import Inbox, InboxSeen, SendingAccount
from delivery.providers.base import TransientError
from organizations.models import Organization
from tests.delivery.events.notifications import event
from tests.webhooks.signer import CERTIFICATE_URL, TOPIC, Signer
from webhooks import views
from webhooks.inbound import receiving
from webhooks.inbound.certificates import Certificates, CertificateUnavailableError
from webhooks.inbound.sns import CertificateAddress
from webhooks.inbound.topics import Topics

pytestmark = pytest.mark.django_db

LOCAL_TOPIC = "arn:aws:sns:us-east-1:000000000000:acme-events"
signer = Signer()
local_signer = Signer()


class Amazon:
    """What the receiver asked of the network."""

    def __init__(self) -> None:
        self.fetched: list[CertificateAddress] = []
        self.confirmed: list[tuple[Any, ...]] = []
        self.error: Exception | None = None
        self.alarm = Mock()

    def fetch(self, address: CertificateAddress) -> bytes:
        self.fetched.append(address)
        if self.error is not None:
            raise self.error
        return signer.certificate_pem


@pytest.fixture
def amazon(monkeypatch: pytest.MonkeyPatch) -> Amazon:
    amazon = Amazon()

    class Api:
        def __init__(self, region: str, **options: Any) -> None:
            self.where = (region, options.get("endpoint_url"))

        def confirm_subscription(self, topic_arn: str, token: str) -> str:
            if amazon.error is not None:
                raise amazon.error
            amazon.confirmed.append((*self.where, topic_arn, token))
            return topic_arn

    monkeypatch.setattr(receiving, "certificates", Certificates(amazon.fetch))
    monkeypatch.setattr(receiving, "topics", Topics())
    monkeypatch.setattr(receiving, "SnsTopics", Api)
    monkeypatch.setattr(views, "wake_processor", amazon.alarm)
    return amazon


@pytest.fixture
def account(acme: Organization) -> SendingAccount:
    return SendingAccount.objects.create(organization=acme, name="SES", region="eu-west-1", topic_arns=[TOPIC])


@pytest.fixture
def local_account(acme: Organization, settings: Settings, tmp_path: Path) -> SendingAccount:
    certificate = tmp_path / "certificate.pem"
    certificate.write_bytes(local_signer.certificate_pem)
    settings.LOCALSES_URL = "http://127.0.0.1:8025"
    settings.LOCALSES_CERTIFICATE = certificate
    return SendingAccount.objects.create(organization=acme, name="Local", is_local=True, topic_arns=[LOCAL_TOPIC])


def post(body: bytes, path: str = "/webhooks/ses/") -> int:
    client = Client(enforce_csrf_checks=True)
    return client.post(path, body, content_type="text/plain; charset=UTF-8").status_code


def nothing_was_stored() -> bool:
    return not Inbox.objects.exists() and not InboxSeen.objects.exists()


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("path", ["/webhooks/ses/", "/webhooks/ses", "/webhooks/ses/acme", "/webhooks/ses/acme/7/"])
def test_a_genuine_message_is_stored_raw_and_answered(
    amazon: Amazon, account: SendingAccount, version: str, path: str
) -> None:
    body = signer.notification(json.dumps(event("delivery")), version=version)

    assert post(body, path) == 200

    stored = Inbox.objects.get()
    assert (stored.source, bytes(stored.body)) == ("ses", body)
    amazon.alarm.assert_called_once_with()


def test_a_repeated_message_is_stored_once_and_answered_alike(amazon: Amazon, account: SendingAccount) -> None:
    body = signer.notification()

    assert [post(body), post(body), post(body)] == [200, 200, 200]

    assert Inbox.objects.count() == 1
    assert len(amazon.fetched) == 1


@pytest.mark.parametrize(
    "url",
    [
        "https://x.s3.amazonaws.com/c.pem",
        CERTIFICATE_URL.replace("https", "http"),
        CERTIFICATE_URL.replace(".com/", ".com.evil.example/"),
        "https://sns.eu-west-1.amazonaws.com@evil.example/",
    ],
)
def test_a_forged_certificate_address_costs_no_fetch(amazon: Amazon, account: SendingAccount, url: str) -> None:
    assert post(signer.notification(SigningCertURL=url)) == 403

    assert amazon.fetched == []
    assert nothing_was_stored()


def test_a_wrong_signature_is_refused(amazon: Amazon, account: SendingAccount) -> None:
    assert post(Signer().notification()) == 403
    assert nothing_was_stored()


def test_a_signed_message_of_anybodys_topic_is_refused_without_a_fetch(amazon: Amazon, account: SendingAccount) -> None:
    assert post(signer.notification(topic="arn:aws:sns:eu-west-1:999999999999:theirs")) == 403

    assert amazon.fetched == []
    assert nothing_was_stored()


def test_a_confirmation_of_anybodys_topic_is_not_confirmed(amazon: Amazon, account: SendingAccount) -> None:
    with capture_logs() as logs:
        assert post(signer.confirmation(topic="arn:aws:sns:eu-west-1:999999999999:theirs")) == 403

    assert (amazon.confirmed, amazon.fetched) == ([], [])
    assert logs[0]["reason"] == "a topic that is not ours"


def test_our_topic_is_confirmed_through_the_api(amazon: Amazon, account: SendingAccount) -> None:
    assert post(signer.confirmation()) == 200

    assert amazon.confirmed == [("eu-west-1", None, TOPIC, "2336412f37fb687f5d51e6e2425dacbb")]


def test_a_forged_confirmation_of_our_topic_is_not_confirmed(amazon: Amazon, account: SendingAccount) -> None:
    assert post(Signer().confirmation()) == 403
    assert amazon.confirmed == []


def test_a_topic_that_was_just_added_is_believed(
    amazon: Amazon, acme: Organization, account: SendingAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhooks.inbound.topics.RELOAD_SECONDS", 0)
    assert post(signer.notification()) == 200
    SendingAccount.objects.create(organization=acme, name="New", topic_arns=[TOPIC + "-new"])

    assert post(signer.notification(topic=TOPIC + "-new")) == 200


def test_a_topic_that_was_taken_away_is_believed_for_five_seconds_at_most(
    amazon: Amazon, account: SendingAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    clock = SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr("webhooks.inbound.topics.time", clock)
    assert post(signer.notification()) == 200
    SendingAccount.objects.update(topic_arns=[])

    clock.monotonic = lambda: now + 5.1

    assert post(signer.notification(message_id="2")) == 403


def test_a_failed_confirmation_is_tried_again_by_sns(amazon: Amazon, account: SendingAccount) -> None:
    post(signer.notification())  # the certificate is known
    amazon.error = TransientError("throttled")

    assert post(signer.confirmation()) == 503


def test_an_unsubscription_is_logged_and_nothing_more(amazon: Amazon, account: SendingAccount) -> None:
    with capture_logs() as logs:
        assert post(signer.confirmation("UnsubscribeConfirmation")) == 200

    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == ["webhooks.sns_unsubscribed"]
    assert amazon.confirmed == []
    assert nothing_was_stored()


def test_a_certificate_that_cannot_be_fetched_loses_no_event(amazon: Amazon, account: SendingAccount) -> None:
    amazon.error = CertificateUnavailableError("time-out")
    assert post(signer.notification()) == 503

    amazon.error = None

    assert post(signer.notification()) == 200


def test_a_database_that_is_down_loses_no_event(
    amazon: Amazon, account: SendingAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "store_provider_message", Mock(side_effect=OperationalError("gone")))

    assert post(signer.notification()) == 503


def test_raw_delivery_is_refused_with_the_reason(amazon: Amazon, account: SendingAccount) -> None:
    with capture_logs() as logs:
        assert post(json.dumps(event("bounce")).encode()) == 403

    assert "Turn raw message delivery off" in logs[0]["hint"]
    assert nothing_was_stored()


@pytest.mark.parametrize("body", [b"", b"junk", b"{}", b"[]", b"x" * 300_000, signer.notification(Signature="%%%")])
def test_junk_is_refused(amazon: Amazon, account: SendingAccount, body: bytes) -> None:
    assert post(body) == 400
    assert nothing_was_stored()


def test_a_large_genuine_message_is_taken_and_a_huge_body_is_not(amazon: Amazon, account: SendingAccount) -> None:
    assert post(signer.notification('"' * 256_000)) == 200
    assert post(b"x" * 600_000) == 413


@pytest.mark.parametrize("method", ["get", "head", "put", "delete"])
def test_only_posts_are_taken(amazon: Amazon, method: str) -> None:
    assert getattr(Client(), method)("/webhooks/ses/").status_code == 405


def test_local_ses_is_believed_by_its_pinned_certificate(amazon: Amazon, local_account: SendingAccount) -> None:
    certificate_url = "http://127.0.0.1:8025/SimpleNotificationService-aabbccdd.pem"

    assert post(local_signer.notification(topic=LOCAL_TOPIC, SigningCertURL=certificate_url)) == 200
    assert post(local_signer.confirmation(topic=LOCAL_TOPIC, SigningCertURL=certificate_url)) == 200

    assert amazon.fetched == []
    assert amazon.confirmed == [("us-east-1", "http://127.0.0.1:8025", LOCAL_TOPIC, "2336412f37fb687f5d51e6e2425dacbb")]


def test_amazons_key_does_not_open_local_topics_nor_the_pinned_one_amazons(
    amazon: Amazon, account: SendingAccount, local_account: SendingAccount
) -> None:
    assert post(signer.notification(topic=LOCAL_TOPIC)) == 403
    assert post(local_signer.notification()) == 403
    assert nothing_was_stored()


def test_local_messages_are_refused_where_local_ses_is_not_configured(
    amazon: Amazon, local_account: SendingAccount, settings: Settings
) -> None:
    settings.LOCALSES_URL = ""

    assert post(local_signer.notification(topic=LOCAL_TOPIC)) == 403


def test_a_local_account_cannot_vouch_for_a_topic_at_amazon(amazon: Amazon, local_account: SendingAccount) -> None:
    SendingAccount.objects.filter(pk=local_account.pk).update(topic_arns=[TOPIC])

    assert post(local_signer.notification()) == 403


def test_a_real_account_cannot_bring_in_local_topics(amazon: Amazon, account: SendingAccount) -> None:
    SendingAccount.objects.filter(pk=account.pk).update(topic_arns=[LOCAL_TOPIC])

    assert post(local_signer.notification(topic=LOCAL_TOPIC)) == 403
    assert amazon.fetched == []


def test_a_missing_pinned_certificate_loses_no_event(
    amazon: Amazon, local_account: SendingAccount, settings: Settings
) -> None:
    settings.LOCALSES_CERTIFICATE = None
    assert post(local_signer.notification(topic=LOCAL_TOPIC)) == 503
    settings.LOCALSES_CERTIFICATE = Path("/nonexistent/certificate.pem")
    assert post(local_signer.notification(topic=LOCAL_TOPIC)) == 503


def test_a_body_that_breaks_off_is_to_come_again(amazon: Amazon, account: SendingAccount) -> None:
    request = RequestFactory().post("/webhooks/ses/", b"x", content_type="text/plain")
    request.read = Mock(side_effect=UnreadablePostError("gone"))  # type: ignore[method-assign]

    assert views.receive_ses(request).status_code == 503
