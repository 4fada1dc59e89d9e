"""Reports of sending services as they post them, signed as each signs them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

AT = "2026-11-25T10:00:00Z"
SECONDS = 1795600800  # the same
EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SVIX_KEY = base64.b64encode(b"0123456789abcdef").decode()
BASIC = "name:geheim"


def public(key: Any) -> str:
    """A public key as services show it: base64 without the lines around it."""
    pem: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return "".join(pem.decode().splitlines()[1:-1])


@dataclass
class Report:
    """One HTTP request."""

    body: bytes
    headers: dict[str, str]
    content_type: str = "application/json"


@dataclass
class Reporter:
    """A service: what is entered for it, and how it reports a bounce for good of one message."""

    variant: str
    options: dict[str, Any]
    bounce: Callable[[str, str, str, str], Report]  # token, provider id, address, url


def _basic() -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(BASIC.encode()).decode()}


def _json(document: object) -> bytes:
    return json.dumps(document).encode()


def mailgun_report(token: str, provider_id: str, address: str, url: str = "", **changes: Any) -> Report:
    """A bounce; `changes` of the event make it another."""
    secret, stamp = "abc", str(SECONDS)
    event = {
        "event": "failed",
        "severity": "permanent",
        "reason": "bounce",
        "id": f"id-{address}",
        "timestamp": float(SECONDS),
        "recipient": address,
        "message": {"headers": {"message-id": provider_id.strip("<>")}},
        "user-variables": {"m": token, "c": "c" * 32} if token else {},
        "delivery-status": {"code": 550, "message": "5.1.1 No such user"},
    }
    signature = hmac.digest(b"signing", f"{stamp}{secret}".encode(), hashlib.sha256).hex()
    signed = {"timestamp": stamp, "token": secret, "signature": signature}
    return Report(_json({"signature": signed, "event-data": event | changes}), {})


def _postmark(token: str, provider_id: str, address: str, url: str) -> Report:
    event = {
        "RecordType": "Bounce",
        "Type": "HardBounce",
        "ID": 4323372036854775807,
        "MessageID": provider_id,
        "Email": address,
        "BouncedAt": AT,
        "Details": "550 5.1.1 No such user",
        "Metadata": {"m": token} if token else {},
    }
    return Report(_json(event), _basic())


def _sendgrid(token: str, provider_id: str, address: str, url: str) -> Report:
    event = {"event": "bounce", "type": "bounce", "email": address, "timestamp": SECONDS, "sg_event_id": "e1"}
    body = _json([event | {"reason": "550 5.1.1", "anymail_id": provider_id} | ({"m": token} if token else {})])
    signature = base64.b64encode(EC_KEY.sign(b"17" + body, ec.ECDSA(hashes.SHA256()))).decode()
    return Report(
        body,
        {
            "X-Twilio-Email-Event-Webhook-Signature": signature,
            "X-Twilio-Email-Event-Webhook-Timestamp": "17",
        },
    )


def _brevo(token: str, provider_id: str, address: str, url: str) -> Report:
    event = {
        "event": "hard_bounce",
        "email": address,
        "id": 1,
        "date": "2026-11-25",
        "ts_event": SECONDS,
        "ts_epoch": SECONDS * 1000,
    }
    custom = {"X-Mailin-custom": json.dumps({"m": token})} if token else {}
    return Report(_json(event | {"message-id": provider_id, "reason": "550 5.1.1"} | custom), _basic())


def _mailersend(token: str, provider_id: str, address: str, url: str) -> Report:
    email = {
        "id": "e",
        "message": {"id": provider_id},
        "recipient": {"email": address},
        "tags": [f"{token}.{'c' * 32}"] if token else None,
    }
    data = {"id": "activity", "type": "hard_bounced", "created_at": AT, "email": email, "morph": None}
    body = _json({"type": "activity.hard_bounced", "created_at": AT, "webhook_id": "w", "data": data})
    return Report(body, {"Signature": hmac.digest(b"signing", body, hashlib.sha256).hex()})


def _mailjet(token: str, provider_id: str, address: str, url: str) -> Report:
    event = {"event": "bounce", "time": SECONDS, "MessageID": int(provider_id), "email": address, "hard_bounce": True}
    payload = {"Payload": json.dumps({"m": token})} if token else {}
    return Report(_json([event | {"error": "user unknown", "error_related_to": "recipient"} | payload]), _basic())


def _resend(token: str, provider_id: str, address: str, url: str) -> Report:
    headers = [{"name": "X-Metadata", "value": json.dumps({"m": token})}] if token else []
    data = {"email_id": provider_id, "to": [address], "created_at": AT, "headers": headers}
    bounce = {"message": "5.1.1", "type": "Permanent", "subType": "General"}
    body = _json({"type": "email.bounced", "created_at": AT, "data": data | {"bounce": bounce}})
    stamp = str(int(time.time()))
    signature = base64.b64encode(
        hmac.digest(base64.b64decode(SVIX_KEY), f"msg_1.{stamp}.".encode() + body, hashlib.sha256)
    ).decode()
    return Report(body, {"svix-id": "msg_1", "svix-timestamp": stamp, "svix-signature": f"v1,{signature}"})


def _sparkpost(token: str, provider_id: str, address: str, url: str) -> Report:
    event = {
        "type": "bounce",
        "bounce_class": "10",
        "timestamp": str(SECONDS),
        "raw_rcpt_to": address,
        "transmission_id": provider_id,
        "event_id": "1",
        "raw_reason": "550 5.1.1",
        "rcpt_meta": {"m": token} if token else {},
    }
    return Report(_json([{"msys": {"message_event": event}}]), _basic())


def _mandrill(token: str, provider_id: str, address: str, url: str) -> Report:
    message = {
        "email": address,
        "_id": provider_id,
        "metadata": {"m": token} if token else {},
        "bounce_description": "x",
    }
    events = json.dumps([{"event": "hard_bounce", "ts": SECONDS, "_id": provider_id, "msg": message}])
    signature = base64.b64encode(
        hmac.digest(b"signing", f"{url}mandrill_events{events}".encode(), hashlib.sha1)
    ).decode()
    body = urlencode({"mandrill_events": events}).encode()
    return Report(body, {"X-Mandrill-Signature": signature}, "application/x-www-form-urlencoded")


def _mailtrap(token: str, provider_id: str, address: str, url: str) -> Report:
    event = {
        "event": "bounce",
        "timestamp": SECONDS,
        "event_id": "1",
        "message_id": provider_id,
        "email": address,
        "response": "550 5.1.1",
        "custom_variables": {"m": token} if token else {},
    }
    body = _json({"events": [event]})
    return Report(body, {"Mailtrap-Signature": hmac.digest(b"signing", body, hashlib.sha256).hex()})


def _postal(token: str, provider_id: str, address: str, url: str) -> Report:
    original = {"id": int(provider_id), "to": address, "tag": f"{token}.{'c' * 32}" if token else None}
    bounce = {"id": 9, "to": "bounces@acme.test", "tag": None}
    payload = {"original_message": original, "bounce": bounce, "timestamp": SECONDS}
    body = _json({"event": "MessageBounced", "timestamp": SECONDS, "uuid": "u1", "payload": payload})
    signature = base64.b64encode(RSA_KEY.sign(body, padding.PKCS1v15(), hashes.SHA1())).decode()
    return Report(body, {"X-Postal-Signature": signature})


def _unisender(token: str, provider_id: str, address: str, url: str) -> Report:
    data = {
        "status": "hard_bounced",
        "email": address,
        "event_time": "2026-11-25 10:00:00",
        "job_id": provider_id,
        "metadata": {"m": token} if token else {},
        "delivery_info": {"delivery_status": "err_user_unknown", "destination_response": "550 5.1.1"},
    }
    user = {"user_id": 1, "events": [{"event_name": "transactional_email_status", "event_data": data}]}
    unsigned = _json({"auth": "key", "events_by_user": [user]})
    auth = hashlib.md5(unsigned).hexdigest().encode()
    return Report(unsigned.replace(b'"auth": "key"', b'"auth": "' + auth + b'"'), {})


REPORTERS = {
    one.variant: one
    for one in (
        Reporter("mailgun", {"api_key": "k", "webhook_signing_key": "signing"}, mailgun_report),
        Reporter("postmark", {"server_token": "k", "webhook_secret": BASIC}, _postmark),
        Reporter("sendgrid", {"api_key": "k", "tracking_webhook_verification_key": public(EC_KEY)}, _sendgrid),
        Reporter("brevo", {"api_key": "k", "webhook_secret": BASIC}, _brevo),
        Reporter("mailersend", {"api_token": "k", "signing_secret": "signing"}, _mailersend),
        Reporter("mailjet", {"api_key": "k", "secret_key": "s", "webhook_secret": BASIC}, _mailjet),
        Reporter("resend", {"api_key": "k", "signing_secret": f"whsec_{SVIX_KEY}"}, _resend),
        Reporter("sparkpost", {"api_key": "k", "webhook_secret": BASIC}, _sparkpost),
        Reporter("mandrill", {"api_key": "k", "webhook_key": "signing"}, _mandrill),
        Reporter("mailtrap", {"api_token": "k", "tracking_secret": "signing"}, _mailtrap),
        Reporter("postal", {"api_key": "k", "api_url": "https://x.test", "webhook_key": public(RSA_KEY)}, _postal),
        Reporter("unisender_go", {"api_key": "key", "api_url": "https://x.test"}, _unisender),
    )
}
