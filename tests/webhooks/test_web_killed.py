"""Firehose's deliveries and SNS's posts to a real web process that is killed meanwhile, with a database that drops it.

Whoever delivers repeats until the answer is 200, as Firehose and SNS do; that is what the door has to stand.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import Thread

import orjson
import pytest
from django.db import connection

from delivery.models import Inbox, InboxDead, InboxSeen, SendingAccount
from organizations.models import Organization
from tests.delivery.events.notifications import event
from tests.webhooks.web_process import STREAM, TEXT, TOPIC, Web, firehose_body, firehose_headers, signer

RECORDS = 100
COUNT = 3000


@pytest.fixture
def web(transactional_db: None, acme: Organization, tmp_path: Path) -> Iterator[Web]:
    SendingAccount.objects.create(organization=acme, name="L", is_local=True, topic_arns=[TOPIC, STREAM])
    running = Web(tmp_path)
    yield running
    running.kill()


def deliver(web: Web, start: int) -> None:
    """One request of Firehose's, repeated until it is acknowledged."""
    documents = [event("delivery", mailout_id=7, n=1, messageId=f"m-{n}") for n in range(start, start + RECORDS)]
    body, headers = firehose_body(f"r-{start}", *documents), firehose_headers(f"r-{start}")
    _insist(web, "/webhooks/firehose", body, headers)


def notify(web: Web, number: int) -> None:
    """One message of SNS's, repeated until it is taken."""
    document = orjson.dumps(event("delivery", mailout_id=7, n=1, messageId=f"m-{number}")).decode()
    body = signer.notification(document, topic=TOPIC, message_id=f"sns-{number}")
    _insist(web, "/webhooks/ses", body, {"Content-Type": TEXT})


def _insist(web: Web, path: str, body: bytes, headers: dict[str, str]) -> None:
    while (status := web.post(path, body, headers)) != 200:
        assert status in (0, 503), status
        time.sleep(0.02)


def _do_all(act: Callable[[Web, int], None], web: Web, numbers: Iterable[int]) -> None:
    for number in numbers:
        act(web, number)


def test_a_web_process_that_is_killed_and_a_database_that_drops_it_lose_and_double_none(web: Web) -> None:
    starts = list(range(0, COUNT, RECORDS))
    notified = COUNT // 30
    work = [Thread(target=_do_all, args=(deliver, web, starts[n::2])) for n in range(2)]
    work.append(Thread(target=_do_all, args=(notify, web, range(notified))))

    for thread in work:
        thread.start()
    seen = 0
    for _ in range(2):
        while Inbox.objects.count() <= seen and any(thread.is_alive() for thread in work):
            time.sleep(0.01)
        web.kill()
        seen = Inbox.objects.count()
        web.start()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    for thread in work:
        thread.join()

    assert Inbox.objects.count() == COUNT + notified  # each once; the ledger knows that they are the same events
    assert not InboxDead.objects.exists()


def test_a_body_that_comes_slowly_and_then_not_at_all_writes_nothing_and_holds_nobody_up(web: Web) -> None:
    slow = [
        web.begin("/webhooks/ses", {"Content-Type": TEXT}, length=900, sent=b'{"Type"'),
        web.begin("/webhooks/firehose", firehose_headers("r"), length=900, sent=b'{"requestId"'),
    ]

    notify(web, 1)
    for connected in slow:
        connected.close()
    notify(web, 2)

    assert Inbox.objects.count() == InboxSeen.objects.count() == 2
    assert not InboxDead.objects.exists()
