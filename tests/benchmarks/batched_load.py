"""Events in batches: Firehose's requests to one web process, and an SQS queue that one process reads."""

from __future__ import annotations

import base64
import gzip
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import orjson

from delivery.models import Inbox, InboxDead, InboxSeen, SendingAccount
from organizations.models import Organization
from tests.benchmarks.harness import PROJECT, Cpu, start_web
from tests.benchmarks.webhook_load import HOST, TOPIC
from tests.delivery.events.notifications import event
from tests.webhooks.queues import QUEUE_ARN, running_queue

STREAM = "arn:aws:firehose:us-east-1:000000000000:deliverystream/bench"
KEY = "bench" * 8
RECORDS = 500  # of a request
CLIENT_THREADS = 4
WARM_EVENTS = 2000  # of the queue, before the clock starts
# The web server's log as on a server; Local SES's account is believed by the local settings alone.
_MORE = {"DJANGO_SETTINGS_MODULE": "amazonsender.settings.local", "LOG_LEVEL": "INFO", "LOG_FORMAT": "json"}


def bench_batched(server: str, env: dict[str, str], count: int) -> dict[str, Any]:
    """Rate and CPU per event of both ways; the clients run on the same machine and are not counted."""
    account, _ = SendingAccount.objects.get_or_create(
        name="Bench", defaults={"organization": Organization.objects.get(), "is_local": True}
    )
    account.topic_arns = [TOPIC, STREAM, QUEUE_ARN]
    account.save(update_fields=["topic_arns"])
    document = orjson.dumps(event("delivery", mailout_id=7, n=1, messageId="NUMBER"))
    events = [document.replace(b"NUMBER", b"%d" % number) for number in range(count)]
    figures = _firehose(server, env | _MORE | {"FIREHOSE_ACCESS_KEYS": KEY}, events)
    return figures | _sqs(server, env | _MORE, events)


def _firehose(server: str, env: dict[str, str], events: list[bytes]) -> dict[str, Any]:
    requests = [_request(start, events[start : start + RECORDS]) for start in range(0, len(events), RECORDS)]
    _clear()
    process, port = start_web(env)
    try:
        failures = _post_all(port, requests[:2])  # warms it
        cpu = Cpu(server, [process])
        before, started = cpu.read(), time.perf_counter()
        failures += _post_all(port, requests[2:])
        seconds, after = time.perf_counter() - started, cpu.read()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
    _check(len(events), failures)
    return _figures("batched", "batched_per_second", len(events) - 2 * RECORDS, seconds, before, after)


def _sqs(server: str, env: dict[str, str], events: list[bytes]) -> dict[str, Any]:
    """A queue that is full before the clock starts: whoever fills it, ten events a call, would be what is measured."""
    _clear()
    with running_queue() as queue:
        queue.send(events)
        process = subprocess.Popen(
            [sys.executable, "manage.py", "poll_events"],
            cwd=PROJECT,
            env=os.environ | env | {"EVENT_QUEUE_URLS": queue.url, "LOG_LEVEL": "ERROR"},
            stdout=subprocess.DEVNULL,
        )
        try:
            while (counted := queue.left()) > len(events) - WARM_EVENTS:
                time.sleep(0.02)
            cpu = Cpu(server, [process])
            before, started = cpu.read(), time.perf_counter()
            while queue.left():
                time.sleep(0.02)
            seconds, after = time.perf_counter() - started, cpu.read()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)
    _check(len(events), [])
    return _figures("queue", "queue_per_second", counted, seconds, before, after)


def _figures(
    name: str, rate: str, count: int, seconds: float, before: tuple[float, float], after: tuple[float, float]
) -> dict[str, Any]:
    python, postgres = ((then - now) / count * 1e6 for now, then in zip(before, after, strict=True))
    return {
        rate: round(count / seconds),
        f"{name}_python_us_per_event": round(python, 1),
        f"{name}_postgres_us_per_event": round(postgres, 1),
    }


def _clear() -> None:
    Inbox.objects.all().delete()
    InboxDead.objects.all().delete()
    InboxSeen.objects.all().delete()


def _check(count: int, failures: list[int]) -> None:
    stored, dead = Inbox.objects.count(), InboxDead.objects.count()
    if failures or stored != count or dead:
        raise SystemExit(f"{failures[:3]}: {stored} of {count} events were stored, {dead} are dead")


def _request(number: int, records: list[bytes]) -> tuple[str, bytes]:
    data = [{"data": base64.b64encode(record).decode()} for record in records]
    body = orjson.dumps({"requestId": f"r-{number}", "timestamp": 1, "records": data})
    return f"r-{number}", gzip.compress(body, 1)


def _post_all(port: int, requests: list[tuple[str, bytes]]) -> list[int]:
    """Post from some threads; return the states that were not 200."""
    failures: list[int] = []

    def post(some: list[tuple[str, bytes]]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for request_id, body in some:
            headers = {
                "Host": HOST,
                "Content-Type": "application/json",
                "Content-Encoding": "gzip",
                "X-Amz-Firehose-Protocol-Version": "1.0",
                "X-Amz-Firehose-Request-Id": request_id,
                "X-Amz-Firehose-Source-Arn": STREAM,
                "X-Amz-Firehose-Access-Key": KEY,
            }
            connection.request("POST", "/webhooks/firehose/", body, headers)
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                failures.append(response.status)
        connection.close()

    threads = [threading.Thread(target=post, args=(requests[n::CLIENT_THREADS],)) for n in range(CLIENT_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures
