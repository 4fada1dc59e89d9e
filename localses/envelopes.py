"""SNS messages: the envelope, its signature, and the certificate that proves it."""

from __future__ import annotations

import base64
import hashlib
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import orjson
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

SUBJECT = "Amazon SES Email Event Notification"
COMMON_NAME = "sns.amazonaws.com"
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}


def iso(moment: float) -> str:
    """Write a moment as SNS and SES do: UTC with milliseconds and a Z."""
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Subscription:
    """An endpoint that hears what a topic publishes."""

    arn: str
    topic_arn: str
    endpoint: str
    signature_version: str


@dataclass(frozen=True, slots=True)
class Post:
    """One HTTP request to a subscriber."""

    endpoint: str
    headers: dict[str, str]
    body: bytes


class Signer:
    """The key of this installation. It survives restarts, so that a pinned certificate stays valid."""

    def __init__(self, data: Path, public_url: str) -> None:
        key_path, certificate_path = data / "key.pem", data / "certificate.pem"
        if not (key_path.exists() and certificate_path.exists()):
            _create(key_path, certificate_path)
        key = serialization.load_pem_private_key(key_path.read_bytes(), None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise TypeError(f"{key_path} is not an RSA key.")
        self._key = key
        self.public_url = public_url
        self.certificate_pem = certificate_path.read_bytes()
        self.fingerprint = x509.load_pem_x509_certificate(self.certificate_pem).fingerprint(hashes.SHA256()).hex()[:32]
        self.certificate_path = f"/SimpleNotificationService-{self.fingerprint}.pem"

    def message_id(self, *parts: object) -> str:
        """Return an id that stays the same when the same thing is published again after a crash."""
        text = "\0".join(str(part) for part in (self.fingerprint, *parts))
        return str(uuid.UUID(bytes=hashlib.blake2b(text.encode(), digest_size=16).digest(), version=4))

    def notification(self, to: Subscription, *, message_id: str, message: str, at: float) -> Post:
        """Make the signed notification of a message for one subscriber."""
        fields = {
            "Type": "Notification",
            "MessageId": message_id,
            "TopicArn": to.topic_arn,
            "Subject": SUBJECT,
            "Message": message,
            "Timestamp": iso(at),
        }
        self._sign(fields, to.signature_version)
        query = urlencode({"Action": "Unsubscribe", "SubscriptionArn": to.arn})
        fields["UnsubscribeURL"] = f"{self.public_url}/?{query}"
        return _post(to, fields)

    def confirmation(self, to: Subscription, *, kind: str, token: str, at: float) -> Post:
        """Make a SubscriptionConfirmation or UnsubscribeConfirmation."""
        query = urlencode({"Action": "ConfirmSubscription", "TopicArn": to.topic_arn, "Token": token})
        if kind == "SubscriptionConfirmation":
            text = f"You have chosen to subscribe to the topic {to.topic_arn}.\n"
            text += "To confirm the subscription, visit the SubscribeURL included in this message."
        else:
            text = f"You have chosen to deactivate subscription {to.arn}.\n"
            text += "To cancel this operation and restore the subscription, visit the SubscribeURL in this message."
        fields = {
            "Type": kind,
            "MessageId": str(uuid.uuid4()),
            "Token": token,
            "TopicArn": to.topic_arn,
            "Message": text,
            "SubscribeURL": f"{self.public_url}/?{query}",
            "Timestamp": iso(at),
        }
        self._sign(fields, to.signature_version)
        return _post(to, fields)

    def _sign(self, fields: dict[str, str], version: str) -> None:
        names = _SIGNED[fields["Type"]]
        text = "".join(f"{name}\n{fields[name]}\n" for name in names if name in fields)
        # Version 1 is SHA-1 by SNS's definition; whoever wants better sets the topic to version 2, as on AWS.
        algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()  # noqa: S303 - as SNS does
        signature = self._key.sign(text.encode(), padding.PKCS1v15(), algorithm)
        fields["SignatureVersion"] = version
        fields["Signature"] = base64.b64encode(signature).decode()
        fields["SigningCertURL"] = self.public_url + self.certificate_path


def _post(to: Subscription, fields: dict[str, str]) -> Post:
    headers = {
        "Content-Type": "text/plain; charset=UTF-8",
        "User-Agent": "Amazon Simple Notification Service Agent",
        "x-amz-sns-message-type": fields["Type"],
        "x-amz-sns-message-id": fields["MessageId"],
        "x-amz-sns-topic-arn": to.topic_arn,
        "x-amz-sns-subscription-arn": to.arn,
    }
    return Post(to.endpoint, headers, orjson.dumps(fields, option=orjson.OPT_INDENT_2))


def _create(key_path: Path, certificate_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, COMMON_NAME)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(COMMON_NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_path.parent.mkdir(parents=True, exist_ok=True)
    key_path.touch(mode=0o600)
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
