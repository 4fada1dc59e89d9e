"""Events while a mailout is being sent: what the provider tells about each message, at the rate of sending."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

import orjson
import psycopg

from delivery.event_tasks import wake_processor
from delivery.models import BatchState
from delivery.tokens import track_token

TICK_SECONDS = 0.2
TOPIC = "arn:aws:sns:eu-central-1:123456789012:bench"


@dataclass
class Fed:
    """How many events were stored, and how many messages they are about."""

    messages: int = 0
    events: int = 0


@contextmanager
def feed_events(database_url: str, mailout_id: int) -> Iterator[Fed]:
    """While the block runs, store a Send and a Delivery event of each message of the mailout as soon as it is sent.

    They take the place of verified notifications: seen digest and inbox row each, through COPY, with the message's own
    token and address. At the end of the block the messages sent by then have been told of, too, but for retried ones.
    Processing them is the matter of the workers. To be imported after Django was set up.
    """
    fed, ended = Fed(), threading.Event()
    failures: list[Exception] = []

    def feed() -> None:
        try:
            with psycopg.connect(database_url) as connection:
                told: set[int] = set()
                while True:
                    is_last = ended.wait(TICK_SECONDS)
                    _tell(connection, mailout_id, told, fed)
                    connection.commit()
                    wake_processor()
                    if is_last:
                        return
        except Exception as error:  # noqa: BLE001 - raised in the main thread
            failures.append(error)

    thread = threading.Thread(target=feed, name="events")
    thread.start()
    try:
        yield fed
    finally:
        ended.set()
        thread.join()
    if failures:
        raise failures[0]


def tell_of(database_url: str, mailout_id: int, messages: list[tuple[int, str, str, datetime]]) -> None:
    """Store a Send and a Delivery event of each message: its number, address, provider's id, and when it was sent."""
    with psycopg.connect(database_url) as connection:
        _store(connection, [body for message in messages for body in _bodies(mailout_id, *message)])
    wake_processor()


_SENT = """
SELECT m.n, s.email, m.provider_id, m.sent_at FROM delivery_message m
  JOIN subscribers_subscriber s ON s.id = m.subscriber_id
 WHERE m.mailout_id = %s AND m.n >= %s AND m.n < %s AND m.provider_id IS NOT NULL
"""
_SETTLED = """
SELECT id, lo, hi FROM delivery_message_batch
 WHERE mailout_id = %s AND id <> ALL(%s) AND state = %s AND open_calls = 0 AND members IS NULL
"""


def _tell(connection: psycopg.Connection, mailout_id: int, told: set[int], fed: Fed) -> None:
    """Tell of the batches that were settled since the last look."""
    batches = connection.execute(_SETTLED, [mailout_id, list(told), BatchState.DONE.value]).fetchall()
    for batch_id, lo, hi in batches:
        told.add(batch_id)
        messages = connection.execute(_SENT, [mailout_id, lo, hi]).fetchall()
        bodies = [body for message in messages for body in _bodies(mailout_id, *message)]
        _store(connection, bodies)
        fed.messages += len(messages)
        fed.events += len(bodies)


def _bodies(mailout_id: int, n: int, address: str, provider_id: str, sent_at: datetime) -> Iterator[bytes]:
    mail = {
        "timestamp": sent_at.isoformat(),
        "messageId": provider_id,
        "source": "news@northwind.example",
        "destination": [address],
        "tags": {"m": [track_token(mailout_id, n)], "ses:configuration-set": ["bench"]},
    }
    for kind, name, inner in (
        ("Send", "send", {}),
        ("Delivery", "delivery", {"timestamp": datetime.now(UTC).isoformat(), "smtpResponse": "250 2.0.0 OK"}),
    ):
        message = orjson.dumps({"eventType": kind, "mail": mail, name: inner}).decode()
        envelope = {"Type": "Notification", "MessageId": f"{name}-{mailout_id}-{n}", "TopicArn": TOPIC}
        yield orjson.dumps(envelope | {"Message": message})


def _store(connection: psycopg.Connection, bodies: list[bytes]) -> None:
    now = datetime.now(UTC)
    with connection.cursor() as cursor:
        with cursor.copy("COPY delivery_inbox_seen (published_at, digest) FROM STDIN WITH (FORMAT binary)") as copy:
            copy.set_types(["timestamptz", "bytea"])
            for body in bodies:
                copy.write_row((now, sha256(body).digest()[:16]))
        with cursor.copy("COPY delivery_inbox (source, body) FROM STDIN WITH (FORMAT binary)") as copy:
            copy.set_types(["varchar", "bytea"])
            for body in bodies:
                copy.write_row(("ses", body))
