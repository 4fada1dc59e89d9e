"""Firehose's deliveries and SNS's posts to a real web process that is killed meanwhile, with a database that drops it.

Whoever delivers repeats until the answer is 200, as Firehose and SNS do; that is what the door has to stand.
"""

from __future__ import annotations

import base64
import http.client
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import Thread

import orjson
import pytest
from django.db import connection

from delivery.models import Inbox, InboxDead, InboxSeen, SendingAccount
from organizations.models import Organization
from tests.benchmarks.harness import kill, start_web
from tests.delivery.events.notifications import event
from tests.webhooks.signer import Signer

STREAM = "arn:aws:firehose:us-east-1:000000000000:deliverystream/ses"
TOPIC = "arn:aws:sns:us-east-1:000000000000:acme-events"
KEY = "k" * 40
RECORDS = 100
COUNT = int(os.environ.get("INTAKE_EVENTS", "3000"))
signer = Signer()


class Web:
    """A web process on the test's database that is started anew on the same settings after each kill."""

    def __init__(self, folder: Path) -> None:
        database = connection.settings_dict
        where = f"{database['HOST'] or '127.0.0.1'}:{database['PORT'] or 5432}"
        certificate = folder / "certificate.pem"
        certificate.write_bytes(signer.certificate_pem)
        self._env = os.environ | {
            "DATABASE_URL": f"postgresql://{database['USER']}@{where}/{database['NAME']}",
            "FIREHOSE_ACCESS_KEYS": KEY,
            "LOCALSES_URL": "http://127.0.0.1:1",
            "LOCALSES_CERTIFICATE": str(certificate),
        }
        self.process: subprocess.Popen[bytes]
        self.port = 0
        self.start()

    def start(self) -> None:
        self.process, self.port = start_web(self._env)

    def kill(self) -> None:
        """With its worker, which is what answers and would go on alone."""
        kill([self.process])
        self.process.wait()

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> int:
        """The answer's status, 0 when there was none."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            client.request("POST", path, body, {"Host": "localhost"} | headers)
            return client.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            client.close()


@pytest.fixture
def web(transactional_db: None, acme: Organization, tmp_path: Path) -> Iterator[Web]:
    SendingAccount.objects.create(organization=acme, name="L", is_local=True, topic_arns=[TOPIC, STREAM])
    running = Web(tmp_path)
    yield running
    running.kill()


def deliver(web: Web, start: int) -> None:
    """One request of Firehose's, repeated until it is acknowledged."""
    documents = [event("delivery", mailout_id=7, n=1, messageId=f"m-{n}") for n in range(start, start + RECORDS)]
    records = [{"data": base64.b64encode(orjson.dumps(document)).decode()} for document in documents]
    body = orjson.dumps({"requestId": f"r-{start}", "timestamp": 1, "records": records})
    headers = {
        "Content-Type": "application/json",
        "X-Amz-Firehose-Request-Id": f"r-{start}",
        "X-Amz-Firehose-Source-Arn": STREAM,
        "X-Amz-Firehose-Access-Key": KEY,
    }
    _insist(web, "/webhooks/firehose", body, headers)


def notify(web: Web, number: int) -> None:
    """One message of SNS's, repeated until it is taken."""
    document = orjson.dumps(event("delivery", mailout_id=7, n=1, messageId=f"m-{number}")).decode()
    body = signer.notification(document, topic=TOPIC, message_id=f"sns-{number}")
    _insist(web, "/webhooks/ses", body, {"Content-Type": "text/plain; charset=UTF-8"})


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
    head = "POST /webhooks/{} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{}Content-Length: 900\r\n\r\n"
    own = f"X-Amz-Firehose-Request-Id: r\r\nX-Amz-Firehose-Source-Arn: {STREAM}\r\nX-Amz-Firehose-Access-Key: {KEY}\r\n"
    slow = [socket.create_connection(("127.0.0.1", web.port)) for _ in range(2)]
    slow[0].sendall(head.format("ses", "").encode() + b'{"Type"')
    slow[1].sendall(head.format("firehose", own).encode() + b'{"requestId"')

    notify(web, 1)
    for connected in slow:
        connected.close()
    notify(web, 2)

    assert Inbox.objects.count() == InboxSeen.objects.count() == 2
    assert not InboxDead.objects.exists()
