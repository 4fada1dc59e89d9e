from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from localses.envelopes import Post, Signer, Subscription
from tests.localses.running import Json

ARN = "arn:aws:sns:us-east-1:000000000000:events"


@pytest.fixture
def signer(key: Path) -> Signer:
    return Signer(key, "http://127.0.0.1:8025")


def to(version: str) -> Subscription:
    return Subscription(f"{ARN}:1", ARN, "http://127.0.0.1:1/sns?x=1", version)


def notification(signer: Signer, version: str) -> Post:
    return signer.notification(to(version), message_id="id-1", message='{"a": "é\\n"}', at=1_800_000_000.1234)


def confirmation(signer: Signer, version: str) -> Post:
    return signer.confirmation(to(version), kind="SubscriptionConfirmation", token="token", at=1.0)


def farewell(signer: Signer, version: str) -> Post:
    return signer.confirmation(to(version), kind="UnsubscribeConfirmation", token="token", at=1.0)


def verify(signer: Signer, envelope: Json, names: str) -> None:
    """Verify a signature from AWS's description alone."""
    text = "".join(f"{name}\n{envelope[name]}\n" for name in names.split())
    certificate = x509.load_pem_x509_certificate(signer.certificate_pem)
    public = certificate.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    algorithm = {"1": hashes.SHA1(), "2": hashes.SHA256()}[envelope["SignatureVersion"]]
    public.verify(base64.b64decode(envelope["Signature"]), text.encode(), padding.PKCS1v15(), algorithm)


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize(
    ("make", "names"),
    [
        (notification, "Message MessageId Subject Timestamp TopicArn Type"),
        (confirmation, "Message MessageId SubscribeURL Timestamp Token TopicArn Type"),
        (farewell, "Message MessageId SubscribeURL Timestamp Token TopicArn Type"),
    ],
)
def test_messages_are_signed_as_sns_signs(
    signer: Signer, version: str, make: Callable[[Signer, str], Post], names: str
) -> None:
    envelope = json.loads(make(signer, version).body)

    verify(signer, envelope, names)
    with pytest.raises(InvalidSignature):
        verify(signer, {**envelope, "Message": "other"}, names)


def test_a_notification_has_the_envelope_of_sns(signer: Signer) -> None:
    post = notification(signer, "2")

    envelope = json.loads(post.body)
    assert envelope.pop("Signature")
    assert envelope == {
        "Type": "Notification",
        "MessageId": "id-1",
        "TopicArn": ARN,
        "Subject": "Amazon SES Email Event Notification",
        "Message": '{"a": "é\\n"}',
        "Timestamp": "2027-01-15T08:00:00.123Z",
        "SignatureVersion": "2",
        "SigningCertURL": f"http://127.0.0.1:8025/SimpleNotificationService-{signer.fingerprint}.pem",
        "UnsubscribeURL": "http://127.0.0.1:8025/?Action=Unsubscribe"
        "&SubscriptionArn=arn%3Aaws%3Asns%3Aus-east-1%3A000000000000%3Aevents%3A1",
    }
    assert post.headers == {
        "Content-Type": "text/plain; charset=UTF-8",
        "User-Agent": "Amazon Simple Notification Service Agent",
        "x-amz-sns-message-type": "Notification",
        "x-amz-sns-message-id": "id-1",
        "x-amz-sns-topic-arn": ARN,
        "x-amz-sns-subscription-arn": f"{ARN}:1",
    }


def test_the_certificate_is_of_sns_and_of_this_key(signer: Signer, key: Path) -> None:
    certificate = x509.load_pem_x509_certificate((key / "certificate.pem").read_bytes())

    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "sns.amazonaws.com"
    assert set(signer.fingerprint) <= set("0123456789abcdef")
    assert len(signer.fingerprint) == 32
    assert (key / "key.pem").stat().st_mode & 0o777 == 0o600


def test_the_key_outlives_a_restart(signer: Signer, key: Path) -> None:
    again = Signer(key, "http://127.0.0.1:8025")

    assert again.certificate_pem == signer.certificate_pem
    assert again.message_id(1, ARN) == signer.message_id(1, ARN)
    assert again.message_id(1, ARN) != signer.message_id(2, ARN)


def test_another_installation_gives_other_message_ids(signer: Signer, tmp_path: Path) -> None:
    other = Signer(tmp_path, "http://127.0.0.1:8025")

    assert other.message_id(1, ARN) != signer.message_id(1, ARN)


def test_a_foreign_kind_of_key_is_refused(tmp_path: Path, key: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    foreign = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "key.pem").write_bytes(foreign)
    (tmp_path / "certificate.pem").write_bytes((key / "certificate.pem").read_bytes())

    with pytest.raises(TypeError, match="not an RSA key"):
        Signer(tmp_path, "http://x")
