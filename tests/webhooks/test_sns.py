from __future__ import annotations

import json

import pytest

from tests.webhooks.signer import CERTIFICATE_URL, TOPIC, Signer
from webhooks.inbound.sns import (
    ForgedError,
    GarbageError,
    RawDeliveryError,
    certificate_address,
    parse_envelope,
    parse_topic,
    verify_signature,
)

signer = Signer()
KEY = signer.key.public_key()
PEM = "/SimpleNotificationService-56e67fcb41f6fec09b0196692625d385.pem"


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [None, "", "Тема"])
@pytest.mark.parametrize("message", ["{}", 'line\nbreak "quoted" ü', ""])
def test_genuine_notifications_of_both_versions_verify(version: str, subject: str | None, message: str) -> None:
    verify_signature(parse_envelope(signer.notification(message, version=version, subject=subject)), KEY)


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("kind", ["SubscriptionConfirmation", "UnsubscribeConfirmation"])
def test_genuine_confirmations_verify(version: str, kind: str) -> None:
    envelope = parse_envelope(signer.confirmation(kind, version=version))

    verify_signature(envelope, KEY)

    assert envelope.token == "2336412f37fb687f5d51e6e2425dacbb"


@pytest.mark.parametrize(
    "change",
    [
        {"Message": "{ }"},
        {"MessageId": "other"},
        {"Subject": "other"},
        {"Timestamp": "2026-11-03T10:00:05.124Z"},
        {"TopicArn": TOPIC + "2"},
        {"SignatureVersion": "1"},
        {"SignatureVersion": "3"},
        {"Signature": "AAAA"},
    ],
)
def test_any_change_of_what_is_signed_is_forged(change: dict[str, str]) -> None:
    with pytest.raises(ForgedError):
        verify_signature(parse_envelope(signer.notification(**change)), KEY)


def test_unsigned_fields_may_change() -> None:
    verify_signature(parse_envelope(signer.notification(UnsubscribeURL="x", MessageAttributes={"a": 1})), KEY)


def test_another_key_is_forged() -> None:
    with pytest.raises(ForgedError):
        verify_signature(parse_envelope(Signer().notification()), KEY)


def test_the_spelling_of_lambda_is_understood() -> None:
    fields = json.loads(signer.notification())
    fields["SigningCertUrl"] = fields.pop("SigningCertURL")

    assert parse_envelope(json.dumps(fields).encode()).certificate_url == CERTIFICATE_URL


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"not json",
        b"[]",
        b'"text"',
        b"{}",
        b'{"Type": "Teleport"}',
        b'{"Type": ["Notification"]}',
        signer.notification(Message=None),
        signer.notification(Message={"a": 1}),
        signer.notification(Timestamp="yesterday"),
        signer.notification(Timestamp="2026-11-03T10:00:05"),
        signer.notification(Signature="not base64!"),
        signer.notification(SigningCertURL=None),
        signer.notification(TopicArn="arn:aws:sqs:eu-west-1:123456789012:queue"),
        signer.confirmation(Token=None),
        signer.confirmation(SubscribeURL=7),
    ],
)
def test_what_is_no_sns_message_is_garbage(body: bytes) -> None:
    with pytest.raises(GarbageError):
        parse_envelope(body)


def test_a_message_without_its_envelope_is_called_by_its_name() -> None:
    with pytest.raises(RawDeliveryError):
        parse_envelope(b'{"eventType": "Bounce", "mail": {}, "bounce": {}}')


@pytest.mark.parametrize(
    ("url", "topic", "host"),
    [
        (CERTIFICATE_URL, TOPIC, "sns.eu-west-1.amazonaws.com"),
        (
            f"https://sns.cn-north-1.amazonaws.com.cn{PEM}",
            "arn:aws-cn:sns:cn-north-1:123456789012:t",
            "sns.cn-north-1.amazonaws.com.cn",
        ),
        (
            f"https://sns.us-gov-west-1.amazonaws.com{PEM}",
            "arn:aws-us-gov:sns:us-gov-west-1:123456789012:t",
            "sns.us-gov-west-1.amazonaws.com",
        ),
    ],
)
def test_the_topics_own_region_keeps_the_certificate(url: str, topic: str, host: str) -> None:
    assert certificate_address(url, parse_topic(topic)) == (host, PEM)


@pytest.mark.parametrize(
    "url",
    [
        "https://x.s3.amazonaws.com/c.pem",
        f"https://x.s3.amazonaws.com{PEM}",
        f"http://sns.eu-west-1.amazonaws.com{PEM}",
        f"https://sns.eu-west-1.amazonaws.com.evil.example{PEM}",
        "https://sns.eu-west-1.amazonaws.com@evil.example/",
        f"https://sns.eu-west-1.amazonaws.com@evil.example{PEM}",
        f"https://user:pw@sns.eu-west-1.amazonaws.com{PEM}",
        f"https://sns.eu-west-1.amazonaws.com:443{PEM}",
        f"https://sns.eu-west-1.amazonaws.com:99999{PEM}",
        f"https://sns.eu-west-1.amazonaws.com{PEM}?x=1",
        f"https://sns.eu-west-1.amazonaws.com{PEM}?",
        f"https://sns.eu-west-1.amazonaws.com{PEM}#x",
        f"https://sns.us-east-1.amazonaws.com{PEM}",
        f"https://sns.eu-west-1.amazonaws.com.cn{PEM}",
        f"https://SNS.eu-west-1.amazonaws.com{PEM}",
        f"https://evilsns.eu-west-1.amazonaws.com{PEM}",
        f"https://a.sns.eu-west-1.amazonaws.com{PEM}",
        f"https://sns.eu-west-1.amazonaws.com/bucket{PEM}",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-56e67fcb/../x.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-56e67fcb41.pem\n",
        f"https://sns.eu-west-1.amazonaws.com\\@evil.example{PEM}",
        f"//sns.eu-west-1.amazonaws.com{PEM}",
        "https://[::1/",
        "",
    ],
)
def test_every_other_certificate_address_is_forged(url: str) -> None:
    with pytest.raises(ForgedError):
        certificate_address(url, parse_topic(TOPIC))
