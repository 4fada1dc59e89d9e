"""SES's notifications as SNS delivers them, made from captured payloads."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from delivery.services.events import process_inbox, store_provider_message
from delivery.tokens import track_token

PAYLOADS = Path(__file__).resolve().parents[2] / "payloads"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:ses-events"
CALL = "6f1c0a52c0de4b7e9a0d2b1f3c4d5e6f"

Json = dict[str, Any]


@cache
def _raw(name: str) -> str:
    return (PAYLOADS / f"{name}.json").read_text(encoding="utf-8")


def payload(name: str) -> Json:
    """A captured SES document."""
    loaded: Json = json.loads(_raw(name))
    return loaded


def event(
    name: str, *, mailout_id: int = 0, n: int = 0, to: str = "ana@example.com", body: Json | None = None, **mail: Any
) -> Json:
    """A captured document about one of our messages: its tags, its destination; `body` changes its inner part."""
    document = payload(name)
    document["mail"] |= {"destination": [to], **mail}
    if mailout_id and "eventType" in document:
        document["mail"]["tags"] = document["mail"].get("tags", {}) | {"m": [track_token(mailout_id, n)], "c": [CALL]}
    key = next((key for key in document if key not in ("eventType", "notificationType", "mail")), None)
    if key is not None:
        document[key] |= body or {}
        for recipients in ("bouncedRecipients", "complainedRecipients", "delayedRecipients"):
            for recipient in document[key].get(recipients, []):
                recipient.setdefault("emailAddress", to)
    return document


def envelope(document: Json | str, *, message_id: str = "m", topic: str = TOPIC) -> bytes:
    message = document if isinstance(document, str) else json.dumps(document)
    return orjson.dumps({"Type": "Notification", "MessageId": message_id, "TopicArn": topic, "Message": message})


_count = iter(range(1, 1_000_000_000))


def deliver(*documents: Json | str, topic: str = TOPIC) -> None:
    """Put the documents into the inbox in this order and process them."""
    store(*documents, topic=topic)
    while process_inbox(limit=1000):
        pass


def store(*documents: Json | str, topic: str = TOPIC) -> None:
    for document in documents:
        number = next(_count)
        store_provider_message(
            source="ses",
            unique_id=f"{topic}/{number}",
            published_at=datetime(2026, 11, 3, tzinfo=UTC),
            body=envelope(document, message_id=str(number), topic=topic),
        )
