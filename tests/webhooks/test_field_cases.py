"""What other installations lost or believed: captured SES events through SNS's door to the ledger."""

from __future__ import annotations

import json
from threading import Thread
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from delivery.models import DeliveryEvent, Inbox, InboxDead, Message, SendingAccount
from delivery.services.events import process_inbox
from delivery.services.partitions import ensure_partitions
from organizations.models import Organization
from subscribers.models import Suppression
from tests.cast import make_cast
from tests.delivery.events.mailouts import add_batch, add_message, make_mailout, make_subscriber
from tests.delivery.events.notifications import event
from tests.webhooks.signer import TOPIC, Signer
from webhooks import views
from webhooks.inbound import receiving
from webhooks.inbound.certificates import Certificates
from webhooks.inbound.topics import Topics

signer = Signer()


@pytest.fixture(autouse=True)
def amazon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "certificates", Certificates(lambda _address: signer.certificate_pem))
    monkeypatch.setattr(receiving, "topics", Topics())
    monkeypatch.setattr(views, "wake_processor", lambda: None)


def make_letter(organization: Organization) -> int:
    """A mailout to ana@example.com; its id."""
    ensure_partitions(at=timezone.now())
    account = SendingAccount.objects.create(
        organization=organization, name="SES", region="eu-west-1", topic_arns=[TOPIC]
    )
    mailout = make_mailout(organization, account=account)
    add_message(mailout, 1, make_subscriber(organization, "ana@example.com"))
    add_batch(mailout, 1, 2, sent=1)
    return mailout.pk


def post(document: dict[str, Any] | str, *, message_id: str) -> int:
    message = document if isinstance(document, str) else json.dumps(document)
    body = signer.notification(message, message_id=message_id)
    return Client().post("/webhooks/ses/", body, content_type="text/plain; charset=UTF-8").status_code


@pytest.mark.django_db(transaction=True)
def test_one_envelope_from_eight_sides_at_once_is_one_event() -> None:
    mailout_id = make_letter(make_cast().acme)
    document = event("bounce", mailout_id=mailout_id, n=1)
    statuses: list[int] = []

    def deliver() -> None:
        statuses.append(post(document, message_id="one"))
        connection.close()

    threads = [Thread(target=deliver) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert statuses == [200] * 8
    assert Inbox.objects.count() == 1
    process_inbox()
    assert (DeliveryEvent.objects.count(), Suppression.objects.count()) == (1, 1)


@pytest.mark.django_db
@pytest.mark.parametrize("written", ["Ana <ANA@Example.com>", "<ana@example.com>", "ana@example.com"])
def test_an_address_is_matched_however_it_is_written_and_without_headers(acme: Organization, written: str) -> None:
    mailout_id = make_letter(acme)
    document = event("bounce", mailout_id=mailout_id, n=1, to=written, headersTruncated=True)
    for field in ("headers", "commonHeaders"):
        document["mail"].pop(field, None)

    assert post(document, message_id="one") == 200
    process_inbox()

    assert Message.objects.get(mailout_id=mailout_id, n=1).bounced_at is not None
    assert Suppression.objects.get().address_key == "ana@example.com"
    assert not InboxDead.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("message", "dead"),
    [
        ("Successfully validated SNS topic for Amazon SES event publishing.", 0),
        ("no JSON", 1),
        ("{}", 1),
        ('{"eventType": "Bounce"}', 1),
        ('{"eventType": "Bounce", "mail": null, "bounce": []}', 1),
        ('{"eventType": "Delivery", "mail": {"messageId": "\\u0000"}}', 1),
        ("[" * 5000, 1),
        ('{"eventType": "' + "x" * 300_000 + '"}', None),
    ],
)
def test_a_genuine_message_of_no_use_is_taken_and_harms_nothing(
    acme: Organization, message: str, dead: int | None
) -> None:
    mailout_id = make_letter(acme)

    assert post(message, message_id="strange") == 200
    assert post(event("delivery", mailout_id=mailout_id, n=1), message_id="next") == 200
    process_inbox()

    assert Message.objects.get(mailout_id=mailout_id, n=1).delivered_at is not None
    assert not Inbox.objects.exists()
    assert dead is None or InboxDead.objects.count() == dead
    assert not Suppression.objects.exists()
