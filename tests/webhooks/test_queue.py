"""The poller against a queue that is a program of its own, with its own transactions."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any
from unittest.mock import Mock

import orjson
import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from pytest_django import Settings

from delivery.models import Inbox, InboxDead, SendingAccount
from delivery.providers.base import PermanentError, TransientError
from delivery.providers.ses.credentials import CredentialSource
from delivery.providers.ses.sqs import QueuedMessage, SqsQueue, parse_queue_url
from delivery.services.events import store_provider_messages
from organizations.models import Organization
from tests.databases import database_url
from tests.delivery.events.notifications import event
from tests.webhooks.queues import QUEUE_ARN, ROOT, RunningQueue, running_queue
from tests.webhooks.sqs_service import ACCESS_KEY, SECRET_KEY
from webhooks import polling
from webhooks.inbound import storing, topics
from webhooks.inbound.bodies import Origin, read_body
from webhooks.inbound.topics import TopicAccount, Topics
from webhooks.polling import QueuePoller

TOPIC = "arn:aws:sns:us-east-1:000000000000:acme-events"
ORIGIN = Origin(QUEUE_ARN, is_local=True)
LISTED = {TOPIC: TopicAccount(1, is_local=True), QUEUE_ARN: TopicAccount(1, is_local=True)}


def wrapped(number: int = 0, *, topic: str = TOPIC, **fields: Any) -> bytes:
    """What a subscription of the queue without raw delivery brings."""
    document = orjson.dumps(event("delivery", mailout_id=7, n=1, messageId=f"m-{number}")).decode()
    envelope = {"Type": "Notification", "MessageId": f"sns-{number}", "TopicArn": topic, "Message": document}
    return orjson.dumps(envelope | {"Timestamp": "2026-11-03T10:00:05.123Z"} | fields)


def raw(number: int = 0) -> bytes:
    return orjson.dumps(event("delivery", mailout_id=7, n=1, messageId=f"m-{number}"))


def bus(number: int = 0) -> bytes:
    """What an EventBridge rule with the queue as its target brings."""
    detail = orjson.loads(raw(number))
    return orjson.dumps(
        {"version": "0", "id": "e", "source": "aws.ses", "detail-type": "Email Delivered", "detail": detail}
    )


def connect(queue: RunningQueue) -> SqsQueue:
    return SqsQueue(parse_queue_url(queue.url), CredentialSource(access_key=ACCESS_KEY, secret_key=SECRET_KEY))


@contextmanager
def polled(queue: RunningQueue, *, connections: int = 2) -> Iterator[None]:
    stopping = Event()
    poller = QueuePoller(connect(queue), find=Topics().find, stopping=stopping, connections=connections)
    poller.start()
    try:
        yield
    finally:
        stopping.set()
        queue.send(
            ["{}"] * connections
        )  # wakes those who wait for messages, so that their connections end with the test
        assert poller.finish()
        for thread in poller._threads:
            thread.join(timeout=25)


def wait_for(is_done: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_done():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture
def account(transactional_db: None, acme: Organization, monkeypatch: pytest.MonkeyPatch) -> SendingAccount:
    monkeypatch.setattr(polling, "LONGEST_WAIT_SECONDS", 1)  # so that connections end with the test
    return SendingAccount.objects.create(organization=acme, name="L", is_local=True, topic_arns=[TOPIC, QUEUE_ARN])


def test_a_bare_and_an_eventbridge_event_are_one_and_snss_is_known_by_its_id() -> None:
    bare, bridged = read_body(raw(), ORIGIN, LISTED.get)[0], read_body(bus(), ORIGIN, LISTED.get)[0]
    envelope = read_body(wrapped(), ORIGIN, LISTED.get)[0]

    assert (bare.unique_id, bare.published_at) == (bridged.unique_id, bridged.published_at)
    assert (envelope.source, envelope.unique_id) == ("ses", f"{TOPIC}/sns-0")
    assert read_body(raw(1), ORIGIN, LISTED.get)[0].unique_id != bare.unique_id


@pytest.mark.parametrize(
    "body",
    [
        b"Successfully validated SNS topic for Amazon SES event publishing.",
        orjson.dumps({"source": "aws.ses", "detail-type": "Sending Status Enabled", "detail": {"status": "x"}}),
    ],
)
def test_what_is_genuine_and_of_no_interest_is_dropped(body: bytes) -> None:
    assert read_body(body, ORIGIN, LISTED.get) == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (wrapped(topic="arn:aws:sns:us-east-1:999999999999:evil"), "a topic that no sending account lists"),
        (wrapped(topic="not an arn"), "not a topic's ARN"),
        (wrapped(Type="SubscriptionConfirmation"), "not a notification"),
        (wrapped(Message=1), "not a notification"),
        (wrapped(Timestamp="yesterday"), "not a time"),
        (orjson.dumps({"TopicArn": TOPIC}), "not an SES event: KeyError"),
        (b'{"eventType":"Bounce","mail":[]}', "not an SES event: TypeError"),
        (
            orjson.dumps(event("send", mailout_id=7, n=1, timestamp="0001-01-01T00:00:00+14:00")),
            "not an SES event: OverflowError",
        ),
        (b"\xff\xfe", "not JSON"),
    ],
)
def test_what_is_not_ours_or_unreadable_has_a_reason(body: bytes, reason: str) -> None:
    (message,) = read_body(body, ORIGIN, LISTED.get)

    assert (message.problem or "").startswith(reason)


def test_amazons_and_local_topics_are_never_mixed() -> None:
    (message,) = read_body(wrapped(), Origin(QUEUE_ARN, is_local=False), LISTED.get)
    assert "Local SES" in (message.problem or "")
    (unlisted,) = read_body(raw(), Origin("arn:aws:sqs:eu-west-1:123456789012:q", is_local=False), LISTED.get)
    assert (unlisted.problem or "").startswith("a queue or stream that no sending account lists")


def test_addresses_of_queues() -> None:
    amazon = parse_queue_url("https://sqs.eu-central-1.amazonaws.com/123456789012/ses.fifo".replace("ses.fifo", "ses"))
    assert amazon.arn == "arn:aws:sqs:eu-central-1:123456789012:ses"
    assert not amazon.is_local
    assert parse_queue_url("https://vpce-1.sqs.cn-north-1.vpce.amazonaws.com.cn/123456789012/q").arn.startswith(
        "arn:aws-cn:"
    )
    assert parse_queue_url("http://127.0.0.1:9/000000000000/events").arn == QUEUE_ARN
    for wrong in (
        "",
        "https://sqs.eu-central-1.amazonaws.com/ses",
        "http://sqs.eu-west-1.amazonaws.com/123456789012/q",
    ):
        with pytest.raises(PermanentError):
            parse_queue_url(wrong)


def test_the_client_speaks_as_botocores_does_and_tells_passing_from_lasting_refusals() -> None:
    with running_queue() as running:
        queue = connect(running)
        running.send([raw(), wrapped()])

        taken = queue.receive(wait_seconds=1, visibility_seconds=120)
        assert {message.body for message in taken} == {raw(), wrapped()}
        assert queue.receive(wait_seconds=0, visibility_seconds=120) == []
        assert queue.attributes()["QueueArn"] == QUEUE_ARN
        assert queue.delete([*(message.handle for message in taken), "of nothing"]) == []
        assert running.left() == 0
        with pytest.raises(PermanentError, match="TooManyEntries"):
            queue.delete([])
        stranger = SqsQueue(queue.address, CredentialSource(access_key="x", secret_key="y"))
        with pytest.raises(PermanentError, match="UnrecognizedClient"):
            stranger.attributes()
        queue.close()
    with pytest.raises(TransientError, match="cannot be reached"):
        queue.attributes()


@pytest.mark.parametrize(
    ("status", "content", "kind"),
    [
        (500, b"", TransientError),
        (400, b'{"__type":"com.amazonaws.sqs#RequestThrottled","message":"slow down"}', TransientError),
        (400, b'{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"gone"}', PermanentError),
        (200, b'{"Messages":[{}]}', TransientError),
    ],
)
def test_answers_of_sqs(status: int, content: bytes, kind: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    queue = SqsQueue(
        parse_queue_url("http://127.0.0.1:9/000000000000/q"), CredentialSource(access_key="x", secret_key="y")
    )
    monkeypatch.setattr(queue._pool, "exchange", Mock(return_value=Mock(status=status, body=content, error_type="")))

    with pytest.raises(kind):
        queue.receive(wait_seconds=0, visibility_seconds=1)


def test_a_deletion_that_names_nobody_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = SqsQueue(
        parse_queue_url("http://127.0.0.1:9/000000000000/q"), CredentialSource(access_key="x", secret_key="y")
    )
    answer = Mock(status=200, body=b'{"Failed":[{"Id":"x"}]}', error_type="")
    monkeypatch.setattr(queue._pool, "exchange", Mock(return_value=answer))

    with pytest.raises(TransientError):
        queue.delete(["h"])


def test_every_message_is_stored_once_and_deleted_though_deletions_fail(account: SendingAccount) -> None:
    bodies = [*(wrapped(n) for n in range(40)), *(raw(n) for n in range(40)), *(bus(n) for n in range(40)), b"poison"]
    random.shuffle(bodies)

    with running_queue(scale=0.005, lose_deletes=3) as queue:
        queue.send(bodies)
        with polled(queue):
            wait_for(lambda: queue.left() == 0)

    assert Inbox.objects.count() == 80  # a bare event is the bridged one; SNS's has an id of its own
    assert InboxDead.objects.filter(error="not JSON").count() == 1


def test_trouble_of_database_and_service_is_waited_for(
    account: SendingAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, troubles = store_provider_messages, [OperationalError("down"), ValueError("a mistake of ours")]

    def store(messages: Any) -> int:
        if troubles:
            raise troubles.pop()
        return real(messages)

    monkeypatch.setattr(storing, "store_provider_messages", store)
    monkeypatch.setattr(polling, "FIRST_PAUSE_SECONDS", 0.01)

    with running_queue(scale=0.001) as queue:
        queue.send([raw()])
        with polled(queue):
            wait_for(lambda: queue.left() == 0)

    assert Inbox.objects.count() == 1
    assert not troubles


def poller_of(queue: Mock, *, connections: int = 1) -> QueuePoller:
    queue.address = parse_queue_url("http://127.0.0.1:9/000000000000/events")
    return QueuePoller(queue, find=LISTED.get, stopping=Event(), connections=connections)


@contextmanager
def started(poller: QueuePoller) -> Iterator[None]:
    poller.start()
    try:
        yield
    finally:
        poller._stopping.set()
        for thread in poller._threads:
            thread.join(timeout=25)


def endless(bodies: Callable[[int], bytes], *, together: int = 10) -> Callable[..., list[QueuedMessage]]:
    """ReceiveMessage of a queue that always has more, and takes a moment."""
    numbers = itertools.count()

    def receive(**_options: int) -> list[QueuedMessage]:
        time.sleep(0.002)
        return [QueuedMessage(f"h{n}", bodies(n)) for n in itertools.islice(numbers, together)]

    return receive


def test_deleting_gives_up_after_some_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "FIRST_DELETE_PAUSE_SECONDS", 0.001)
    queue = Mock()
    queue.delete.side_effect = [TransientError("no"), ["h"], ValueError("a mistake of ours"), ["h"]]
    poller = poller_of(queue)
    poller._is_storing, poller._held = False, 2
    poller._committed += [("h", 0), ("i", 0)]

    poller._delete_all()

    assert [call.args[0] for call in queue.delete.call_args_list] == [["h", "i"], ["h", "i"], ["h"], ["h"]]
    assert poller._held == 0


def test_connections_that_find_nothing_left_to_delete_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "DELETE_WITHIN_SECONDS", 0.005)
    monkeypatch.setattr(polling, "connection", Mock())
    monkeypatch.setattr(polling, "store_together", Mock(return_value=0))
    queue = Mock()
    queue.receive.side_effect = endless(raw, together=1)
    queue.delete.return_value = []

    with started(poller := poller_of(queue, connections=3)):
        wait_for(lambda: queue.delete.call_count > 30)
        assert all(thread.is_alive() for thread in poller._threads)

    assert poller._held == 0


def test_while_the_database_is_away_nothing_is_received_and_what_is_held_is_stored_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(polling, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(polling, "LONGEST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(polling, "connection", Mock())
    monkeypatch.setattr(polling, "wake_processor", Mock())
    is_away, stored, tried = Event(), list[str](), itertools.count()

    def store(messages: Any) -> int:
        if is_away.is_set():
            next(tried)
            raise OperationalError("down")
        stored.extend(message.unique_id for message in messages)
        return len(messages)

    monkeypatch.setattr(polling, "store_together", store)
    is_away.set()
    queue = Mock()
    queue.receive.side_effect = endless(raw)
    queue.delete.return_value = []

    with started(poller := poller_of(queue, connections=2)):
        wait_for(lambda: next(tried) > 5)
        calls, held = queue.receive.call_count, poller._held
        wait_for(lambda: next(tried) > 20)
        assert queue.receive.call_count - calls <= 2  # those that were out when it went
        is_away.clear()
        wait_for(lambda: queue.receive.call_count > calls + 20)

    assert held > 0
    assert queue.delete.call_count >= len(stored) / 10
    assert len(stored) == len(set(stored)) == queue.receive.call_count * 10
    assert poller._held == 0


def test_no_more_is_held_than_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "MOST_HELD", 30)
    may_go, is_storing = Event(), Event()

    def store(messages: Any) -> int:
        is_storing.set()
        may_go.wait(20)
        return 0

    monkeypatch.setattr(polling, "store_together", store)
    monkeypatch.setattr(polling, "connection", Mock())
    queue = Mock()
    queue.receive.side_effect = endless(raw)
    queue.delete.return_value = []

    with started(poller := poller_of(queue)):
        wait_for(lambda: poller._held >= 30 and is_storing.is_set())
        time.sleep(0.05)
        assert queue.receive.call_count == 3
        may_go.set()
        wait_for(lambda: queue.receive.call_count > 6)


def test_a_mistake_while_receiving_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(polling, "connection", Mock())
    queue = Mock()
    queue.receive.side_effect = [TransientError("no"), ValueError("a mistake of ours"), *[[] for _ in range(10_000)]]

    with started(poller_of(queue)):
        wait_for(lambda: queue.receive.call_count > 3)


def test_a_connection_that_died_while_the_queue_was_quiet_is_replaced(
    account: SendingAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topics, "KNOWN_SECONDS", 0.0)  # so that accounts are read first, by what does not reconnect
    monkeypatch.setattr(polling, "FIRST_PAUSE_SECONDS", 0.01)

    with running_queue(scale=0.005) as queue, polled(queue):
        queue.send([raw(1)])
        wait_for(lambda: queue.left() == 0)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        queue.send([raw(2)])
        wait_for(lambda: queue.left() == 0)

    assert Inbox.objects.count() == 2


def test_finishing_tells_when_it_took_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "GRACE_SECONDS", 0.05)
    poller = poller_of(Mock(), connections=0)
    poller._held = 1

    assert not poller.finish()


@contextmanager
def command(queue: RunningQueue) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts `poll_events` on the test's database, as often as it is called; all are ended afterwards."""
    env = os.environ | {"EVENT_QUEUE_URLS": queue.url, "DATABASE_URL": database_url(), "LOG_LEVEL": "WARNING"}
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "manage.py", "poll_events"], cwd=ROOT, env=env))
        return started[-1]

    try:
        yield start
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_pollers_that_are_killed_and_a_database_that_drops_them_lose_and_double_none(account: SendingAccount) -> None:
    count = 2000

    with running_queue(scale=0.005, lose_deletes=7) as queue, command(queue) as start:
        process = start()
        seen = 0
        for share in (0.0, 0.45):
            queue.send([raw(n) for n in range(int(count * share), int(count * (share + 0.45)))])
            wait_for(lambda seen=seen: Inbox.objects.count() > seen, 60)  # type: ignore[misc]
            process.kill()
            process.wait()
            seen = Inbox.objects.count()
            process = start()
        queue.send([raw(n) for n in range(int(count * 0.8), count)])  # some of them a second time
        wait_for(lambda: Inbox.objects.count() > seen, 60)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        wait_for(lambda: queue.left() == 0, 60 + count / 500)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) == 0

    assert Inbox.objects.count() == count
    assert not InboxDead.objects.exists()


def test_the_command_says_what_is_missing(settings: Settings) -> None:
    settings.EVENT_QUEUE_URLS = []
    with pytest.raises(CommandError, match="EVENT_QUEUE_URLS"):
        call_command("poll_events")
    settings.EVENT_QUEUE_URLS = ["https://example.com/q"]
    with pytest.raises(CommandError, match="not the address of a queue"):
        call_command("poll_events")
    settings.EVENT_QUEUE_URLS = ["http://127.0.0.1:9/000000000000/events"]
    settings.IS_SERVER = True
    with pytest.raises(CommandError, match="which no server listens to"):
        call_command("poll_events")
