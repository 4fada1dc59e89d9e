"""Topics and subscriptions: what is stored, and what is published to them."""

from __future__ import annotations

import sqlite3

import orjson

from localses.envelopes import Post, Signer, Subscription

SIGNATURE_VERSIONS = ("1", "2")


def subscribers(db: sqlite3.Connection, topic_arn: str) -> list[Subscription]:
    """Return the confirmed subscriptions of a topic."""
    rows = db.execute(
        "SELECT s.arn, s.endpoint, t.body FROM subscription s"
        " JOIN resource t ON t.kind = 'topic' AND t.name = s.topic_arn"
        " WHERE s.topic_arn = ? AND s.confirmed ORDER BY s.arn",
        (topic_arn,),
    )
    return [
        Subscription(row["arn"], topic_arn, row["endpoint"], orjson.loads(row["body"]).get("SignatureVersion", "1"))
        for row in rows
    ]


def enqueue(db: sqlite3.Connection, post: Post, at: float, *, attempts: int = 0, due_at: float | None = None) -> None:
    """Put a request into the outbox, from where the courier takes it even after a restart."""
    db.execute(
        "INSERT INTO outbox (endpoint, headers, body, attempts, created_at, due_at) VALUES (?, ?, ?, ?, ?, ?)",
        (post.endpoint, orjson.dumps(post.headers), post.body, attempts, at, at if due_at is None else due_at),
    )


def publish(db: sqlite3.Connection, signer: Signer, topic_arn: str, text: str, *, message_id: str, at: float) -> None:
    """Put a message for every subscriber of a topic into the outbox."""
    for subscription in subscribers(db, topic_arn):
        enqueue(db, signer.notification(subscription, message_id=message_id, message=text, at=at), at)
