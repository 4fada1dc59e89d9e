from __future__ import annotations

import base64
import gzip
import json
from typing import Any
from unittest.mock import Mock

import orjson
import pytest
from django.core.checks import run_checks
from django.db import DataError, OperationalError
from django.http import HttpResponse
from django.http.request import UnreadablePostError
from django.test import Client, RequestFactory
from django.utils import timezone
from pytest_django import Settings

from delivery.models import DeliveryEvent, Inbox, InboxDead, InboxSeen, SendingAccount
from delivery.services.events import process_inbox, store_provider_messages
from organizations.models import Organization
from tests.delivery.events.mailouts import add_message, make_mailout, make_subscriber
from tests.delivery.events.notifications import deliver, event
from webhooks import firehose
from webhooks.inbound import storing
from webhooks.inbound.topics import Topics

pytestmark = pytest.mark.django_db

STREAM = "arn:aws:firehose:eu-west-1:123456789012:deliverystream/ses"
KEY = "k" * 40
URL = "/webhooks/firehose/"


@pytest.fixture(autouse=True)
def account(acme: Organization, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> SendingAccount:
    settings.FIREHOSE_ACCESS_KEYS = ["another" * 6, KEY]
    monkeypatch.setattr(firehose, "topics", Topics())
    monkeypatch.setattr(firehose, "wake_processor", Mock())
    return SendingAccount.objects.create(organization=acme, name="SES", region="eu-west-1", topic_arns=[STREAM])


def body(*records: bytes, request_id: str = "r-1") -> bytes:
    data = [{"data": base64.b64encode(record).decode()} for record in records]
    return json.dumps({"requestId": request_id, "timestamp": 1, "records": data}).encode()


def post(content: bytes, **headers: str) -> HttpResponse:
    given = {
        "X-Amz-Firehose-Protocol-Version": "1.0",
        "X-Amz-Firehose-Request-Id": "r-1",
        "X-Amz-Firehose-Source-Arn": STREAM,
        "X-Amz-Firehose-Access-Key": KEY,
    } | headers
    kind = given.pop("Content-Type", "application/json")
    answer: Any = Client().post(URL, content, content_type=kind, headers=given)
    return answer  # type: ignore[no-any-return]


def record(kind: str = "delivery", **fields: Any) -> bytes:
    return orjson.dumps(event(kind, **fields)) + b"\n"


def stored() -> int:
    return Inbox.objects.count() + InboxDead.objects.count() + InboxSeen.objects.count()


def test_a_delivery_is_acknowledged_in_firehoses_form_and_a_repeat_stores_nothing() -> None:
    content = body(record(n=1, messageId="a"), record(n=2, messageId="b") + record("send", messageId="a"))

    first, second = post(content), post(content)

    for answer in (first, second):
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "application/json"
        document = orjson.loads(answer.content)
        assert document.keys() == {"requestId", "timestamp"}
        assert document["requestId"] == "r-1"
        assert abs(document["timestamp"] / 1000 - timezone.now().timestamp()) < 60
    assert Inbox.objects.count() == 3
    assert firehose.wake_processor.call_count == 1  # type: ignore[attr-defined]


def test_gzip_is_unpacked() -> None:
    assert post(gzip.compress(body(record())), **{"Content-Encoding": "gzip"}).status_code == 200
    assert Inbox.objects.count() == 1


def test_the_same_event_by_sns_and_by_firehose_counts_once(acme: Organization) -> None:
    mailout = make_mailout(acme)
    add_message(mailout, 1, make_subscriber(acme, "p1@example.com"))
    account = SendingAccount.objects.get(name="SES")
    account.topic_arns = [STREAM, "arn:aws:sns:eu-west-1:123456789012:ses-events"]
    account.save()
    document = event("bounce", mailout_id=mailout.pk, n=1, to="p1@example.com")

    deliver(document)
    post(body(orjson.dumps(document)))
    process_inbox()

    assert DeliveryEvent.objects.count() == 1
    assert not InboxDead.objects.exists()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Amz-Firehose-Access-Key": "k" * 39}, 401),
        ({"X-Amz-Firehose-Access-Key": ""}, 401),
        ({"X-Amz-Firehose-Source-Arn": STREAM + "-of-another"}, 403),
        ({"X-Amz-Firehose-Source-Arn": "arn:aws:sns:eu-west-1:123456789012:ses"}, 400),
        ({"X-Amz-Firehose-Source-Arn": STREAM.replace("123456789012", "000000000000")}, 403),
        ({"X-Amz-Firehose-Request-Id": "r-2"}, 400),
        ({"X-Amz-Firehose-Request-Id": "<script>"}, 400),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Encoding": "br"}, 415),
        ({"Content-Encoding": "gzip"}, 400),
    ],
)
def test_what_is_not_believed_writes_nothing_and_is_told_why(headers: dict[str, str], status: int) -> None:
    answer = post(body(record()), **headers)

    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/json"
    assert orjson.loads(answer.content)["errorMessage"]
    assert stored() == 0


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"requestId":"r-1"}',
        b'{"requestId":"r-1","records":[{"data":"*"}]}',
        b'{"requestId":1,"records":[]}',
        body(*[b"x"] * 3),
    ],
)
def test_garbage_writes_nothing(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firehose, "MAX_RECORDS", 2)

    assert post(content).status_code == 400
    assert stored() == 0


def test_a_body_is_bounded_packed_and_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firehose, "MAX_BODY", 2000)
    bomb = gzip.compress(b" " * 1_000_000)
    cut = gzip.compress(body(record()))[:-20]

    assert post(b" " * 2001).status_code == 413
    assert post(bomb, **{"Content-Encoding": "gzip"}).status_code == 413
    assert post(cut, **{"Content-Encoding": "gzip"}).status_code == 400
    assert stored() == 0


def test_without_a_key_there_is_no_door_and_the_checks_say_so(settings: Settings) -> None:
    settings.FIREHOSE_ACCESS_KEYS = []
    assert post(body(record())).status_code == 404
    assert Client().get(URL).status_code == 405
    assert "amazonsender.I030" in {message.id for message in run_checks(include_deployment_checks=True)}

    settings.FIREHOSE_ACCESS_KEYS = ["short"]
    assert "amazonsender.E030" in {message.id for message in run_checks(include_deployment_checks=True)}

    settings.FIREHOSE_ACCESS_KEYS = [KEY]
    settings.EVENT_QUEUE_URLS = ["http://sqs.eu-west-1.amazonaws.com/123456789012/q"]
    found = {message.id for message in run_checks(include_deployment_checks=True)}
    assert "amazonsender.E031" in found
    assert not found & {"amazonsender.I030", "amazonsender.E030"}


def test_what_no_event_can_be_read_from_is_kept_once_with_its_reason_and_the_rest_counts() -> None:
    content = body(b"poison", b"{}", record(), b"1", b'{"eventType":"Bounce"}', record("delivery", timestamp=5))
    answers = [post(content), post(content)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert Inbox.objects.count() == 1
    assert sorted(InboxDead.objects.values_list("error", flat=True)) == [
        "neither an SNS message nor an SES event",
        "not JSON",
        "not a JSON object",
        "not an SES event: KeyError",
    ]


def test_a_database_in_trouble_asks_for_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "store_provider_messages", Mock(side_effect=OperationalError("down")))

    answer = post(body(record()))

    assert answer.status_code == 503
    assert orjson.loads(answer.content)["requestId"] == "r-1"


def test_a_request_that_breaks_off_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    request = RequestFactory().post(
        URL,
        b"{",
        content_type="application/json",
        headers={
            "X-Amz-Firehose-Request-Id": "r-1",
            "X-Amz-Firehose-Source-Arn": STREAM,
            "X-Amz-Firehose-Access-Key": KEY,
        },
    )
    monkeypatch.setattr(request, "read", Mock(side_effect=UnreadablePostError("gone")))

    assert firehose.receive_firehose(request).status_code == 503
    assert stored() == 0


def test_a_message_that_postgresql_refuses_is_put_aside_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    real = store_provider_messages

    def refuse_one(messages: Any) -> int:
        if any(b"bad" in message.body and message.problem is None for message in messages):
            raise DataError("refused")
        return real(messages)

    monkeypatch.setattr(storing, "store_provider_messages", refuse_one)

    assert post(body(record(messageId="good"), record(messageId="bad"))).status_code == 200
    assert Inbox.objects.count() == 1
    assert InboxDead.objects.get().error == "DataError: refused"
