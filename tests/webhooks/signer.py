"""SNS in a test: an RSA key, its certificate, and messages signed by the book (versions 1 and 2)."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

TOPIC = "arn:aws:sns:eu-west-1:123456789012:ses-events"
CERTIFICATE_URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-56e67fcb41f6fec09b0196692625d385.pem"


class Signer:
    """One key and its self-signed certificate."""

    def __init__(
        self,
        *,
        name: str = "sns.amazonaws.com",
        bits: int = 2048,
        starts: timedelta = timedelta(days=-1),
        ends: timedelta = timedelta(days=30),
    ) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + starts)
            .not_valid_after(now + ends)
            .sign(self.key, hashes.SHA256())
        )
        self.certificate_pem = certificate.public_bytes(serialization.Encoding.PEM)

    def notification(
        self,
        message: str = "{}",
        *,
        topic: str = TOPIC,
        message_id: str = "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        version: str = "2",
        subject: str | None = "Amazon SES Email Event Notification",
        **changes: Any,
    ) -> bytes:
        fields = {
            "Type": "Notification",
            "MessageId": message_id,
            "TopicArn": topic,
            "Subject": subject,
            "Message": message,
            "Timestamp": "2026-11-03T10:00:05.123Z",
        }
        fields = {name: value for name, value in fields.items() if value is not None}
        return self.finish(
            fields, ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"), version, changes
        )

    def confirmation(
        self, kind: str = "SubscriptionConfirmation", *, topic: str = TOPIC, version: str = "2", **changes: Any
    ) -> bytes:
        fields = {
            "Type": kind,
            "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
            "Token": "2336412f37fb687f5d51e6e2425dacbb",
            "TopicArn": topic,
            "Message": "You have chosen to subscribe to the topic.",
            "SubscribeURL": "http://169.254.169.254/latest/meta-data",
            "Timestamp": "2026-11-03T10:00:05.123Z",
        }
        names = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
        return self.finish(fields, names, version, changes)

    def finish(self, fields: dict[str, Any], names: tuple[str, ...], version: str, changes: dict[str, Any]) -> bytes:
        """Sign, then apply changes that the signature does not know of."""
        text = "".join(f"{name}\n{fields[name]}\n" for name in names if name in fields)
        algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()
        signature = self.key.sign(text.encode(), padding.PKCS1v15(), algorithm)
        fields |= {
            "SignatureVersion": version,
            "Signature": base64.b64encode(signature).decode(),
            "SigningCertURL": CERTIFICATE_URL,
            "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
        }
        return json.dumps(fields | changes).encode()
