"""Amazon SNS messages over HTTPS: shape, certificate address, signature. Plain Python.

Only Message, MessageId, Subject, SubscribeURL, Timestamp, Token, TopicArn and Type are signed: headers, UnsubscribeURL
and MessageAttributes are not, so nothing here looks at them.
https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

NOTIFICATION = "Notification"
SUBSCRIPTION = "SubscriptionConfirmation"
UNSUBSCRIPTION = "UnsubscribeConfirmation"

_SIGNED = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    SUBSCRIPTION: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    UNSUBSCRIPTION: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
# Version 1, a topic's default, is SHA-1 by SNS's definition.
_HASHES: dict[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303
_TOPIC = re.compile(r"arn:(aws|aws-cn|aws-us-gov):sns:([a-z0-9-]{5,25}):([0-9]{12}):([A-Za-z0-9_.-]{1,256})")
# Matched as a whole rather than taken apart: URL parsers forgive what whoever fetches may read otherwise.
_CERTIFICATE = re.compile(
    r"https://(sns\.([a-z0-9-]{5,25})\.amazonaws\.com(?:\.cn)?)(/SimpleNotificationService-[0-9a-f]{8,64}\.pem)"
)


class GarbageError(ValueError):
    """Not an SNS message."""


class RawDeliveryError(GarbageError):
    """A message without its envelope, thus without a signature."""


class ForgedError(ValueError):
    """An SNS message that SNS did not sign, or says that it did in a way it never does."""


class Topic(NamedTuple):
    arn: str
    partition: str
    region: str
    account: str


class CertificateAddress(NamedTuple):
    host: str
    path: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """A well-formed SNS message, not verified yet. `token` is empty for notifications."""

    type: str
    message_id: str
    topic: Topic
    published_at: datetime
    token: str
    message: str
    certificate_url: str
    signature_version: str
    signature: bytes
    signed_text: bytes


def parse_envelope(body: bytes) -> Envelope:
    """Read the body of a request. Raises GarbageError or RawDeliveryError."""
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise GarbageError("not JSON") from error
    if not isinstance(fields, dict):
        raise GarbageError("not a JSON object")
    if "Type" not in fields and "Signature" not in fields and ("eventType" in fields or "notificationType" in fields):
        raise RawDeliveryError("raw message delivery is on")
    kind = fields.get("Type")
    if not isinstance(kind, str) or kind not in _SIGNED:
        raise GarbageError("unknown type")
    for name in ("MessageId", "TopicArn", "Timestamp", "Message", "SignatureVersion", "Signature"):
        if not isinstance(fields.get(name), str):
            raise GarbageError(f"{name} is missing")
    if kind != NOTIFICATION and not (
        isinstance(fields.get("Token"), str) and isinstance(fields.get("SubscribeURL"), str)
    ):
        raise GarbageError("Token or SubscribeURL is missing")
    return Envelope(
        type=kind,
        message_id=fields["MessageId"],
        topic=parse_topic(fields["TopicArn"]),
        published_at=_read_time(fields["Timestamp"]),
        token=fields.get("Token") or "",
        message=fields["Message"],
        certificate_url=_certificate_url(fields),
        signature_version=fields["SignatureVersion"],
        signature=_read_signature(fields["Signature"]),
        signed_text=_signed_text(kind, fields),
    )


def parse_topic(arn: str) -> Topic:
    """Split a topic's ARN. Raises GarbageError."""
    match = _TOPIC.fullmatch(arn)
    if match is None:
        raise GarbageError("not a topic's ARN")
    return Topic(arn, match[1], match[2], match[3])


def certificate_address(url: str, topic: Topic) -> CertificateAddress:
    """Where SNS keeps the certificate of the topic's region. Raises ForgedError for any other address.

    Any looser rule has been broken: with sub-domains a bucket serves the attacker's certificate (CVE-2023-33185), and a
    user part, a port or a query change what is fetched. Redirects are not followed by whoever fetches.
    """
    match = _CERTIFICATE.fullmatch(url)
    if match is None:
        raise ForgedError("a certificate that is not at SNS's address")
    host, region, path = match.groups()
    if region != topic.region or host.endswith(".cn") != (topic.partition == "aws-cn"):
        raise ForgedError("a certificate of another region")
    return CertificateAddress(host, path)


def verify_signature(envelope: Envelope, key: RSAPublicKey) -> None:
    """Check the signature, version 1 or 2; 19 µs. Raises ForgedError."""
    algorithm = _HASHES.get(envelope.signature_version)
    if algorithm is None:
        raise ForgedError("unknown signature version")
    try:
        key.verify(envelope.signature, envelope.signed_text, padding.PKCS1v15(), algorithm)
    except InvalidSignature as error:
        raise ForgedError("wrong signature") from error


def _certificate_url(fields: dict[str, Any]) -> str:
    url = fields.get("SigningCertURL") or fields.get("SigningCertUrl")  # Lambda's spelling
    if not isinstance(url, str):
        raise GarbageError("SigningCertURL is missing")
    return url


def _read_time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise GarbageError("unreadable time") from error
    if at.tzinfo is None:
        raise GarbageError("time without a zone")
    return at


def _read_signature(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (Base64Error, ValueError) as error:
        raise GarbageError("the signature is not base64") from error


def _signed_text(kind: str, fields: dict[str, Any]) -> bytes:
    """Name and value of the signed fields, a line each, in the order of names; Subject only where there is one."""
    pairs = ((name, fields.get(name)) for name in _SIGNED[kind])
    text = "".join(f"{name}\n{value}\n" for name, value in pairs if value is not None)
    return text.encode("utf-8", "surrogatepass")
