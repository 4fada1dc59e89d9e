"""What Local SES really sends is what the door takes: its own signer, envelopes and event documents."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client
from pytest_django import Settings

from delivery.models import Inbox, SendingAccount
from localses.envelopes import Post, Signer, Subscription
from organizations.models import Organization
from webhooks import views
from webhooks.inbound import receiving
from webhooks.inbound.topics import Topics

pytestmark = pytest.mark.django_db

TOPIC = "arn:aws:sns:us-east-1:000000000000:acme-events"


@pytest.fixture
def signer(acme: Organization, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Signer:
    signer = Signer(tmp_path, "http://127.0.0.1:8025")
    settings.LOCALSES_URL = "http://127.0.0.1:8025"
    settings.LOCALSES_CERTIFICATE = tmp_path / "certificate.pem"
    SendingAccount.objects.create(organization=acme, name="Local SES", is_local=True, topic_arns=[TOPIC])
    monkeypatch.setattr(receiving, "topics", Topics())
    monkeypatch.setattr(views, "wake_processor", lambda: None)
    return signer


def deliver(post: Post) -> int:
    headers = {name: value for name, value in post.headers.items() if name != "Content-Type"}
    return (
        Client()
        .post("/webhooks/ses/", post.body, content_type=post.headers["Content-Type"], headers=headers)
        .status_code
    )


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_notification_of_local_ses_is_stored(signer: Signer, version: str) -> None:
    subscription = Subscription(TOPIC + ":1", TOPIC, "http://testserver/webhooks/ses/", version)
    post = signer.notification(subscription, message_id="a", message='{"eventType": "Send"}', at=1_793_700_000.25)

    assert [deliver(post), deliver(post)] == [200, 200]

    assert Inbox.objects.count() == 1


def test_a_confirmation_of_local_ses_reaches_its_api(signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    confirmed = []

    class Api:
        def __init__(self, region: str, **options: object) -> None:
            self.endpoint = options["endpoint_url"]

        def confirm_subscription(self, topic_arn: str, token: str) -> str:
            confirmed.append((self.endpoint, topic_arn, token))
            return topic_arn

    monkeypatch.setattr(receiving, "SnsTopics", Api)
    subscription = Subscription(TOPIC + ":1", TOPIC, "http://testserver/webhooks/ses/", "2")

    assert deliver(signer.confirmation(subscription, kind="SubscriptionConfirmation", token="t0ken", at=1.0)) == 200

    assert confirmed == [("http://127.0.0.1:8025", TOPIC, "t0ken")]
