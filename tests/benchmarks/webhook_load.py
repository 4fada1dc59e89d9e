"""The load on the webhook: signed notifications over kept connections to one Granian worker."""

from __future__ import annotations

import http.client
import json
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from delivery.models import Inbox, SendingAccount
from organizations.models import Organization
from tests.benchmarks.harness import Cpu, start_web
from tests.delivery.events.notifications import event
from tests.webhooks.signer import Signer

TOPIC = "arn:aws:sns:us-east-1:000000000000:bench"
HOST = "mail.northwind.example"
CLIENT_THREADS = 8


def bench_webhook(server: str, env: dict[str, str], count: int) -> dict[str, Any]:
    """CPU per request of web server and PostgreSQL, and the rate beside the client on the same machine."""
    signer = Signer()
    SendingAccount.objects.create(
        organization=Organization.objects.get(), name="Bench", is_local=True, topic_arns=[TOPIC]
    )
    document = json.dumps(event("delivery", mailout_id=7, n=1))
    bodies = [signer.notification(document, topic=TOPIC, message_id=f"bench-{number}") for number in range(count)]
    Inbox.objects.all().delete()
    with tempfile.TemporaryDirectory(prefix="amazonsender-bench-") as folder:
        certificate = Path(folder) / "certificate.pem"
        certificate.write_bytes(signer.certificate_pem)
        more = {
            "DJANGO_SETTINGS_MODULE": "amazonsender.settings.local",
            "LOCALSES_URL": "http://127.0.0.1:1",
            "LOCALSES_CERTIFICATE": str(certificate),
            "LOG_LEVEL": "INFO",  # as on a server: each request leaves a line
            "LOG_FORMAT": "json",
        }
        process, port = start_web(env | more)
        try:
            _post_all(port, bodies[:200])
            cpu = Cpu(server, [process])
            before, started = cpu.read(), time.perf_counter()
            failures = _post_all(port, bodies[200:])
            seconds, after = time.perf_counter() - started, cpu.read()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=20)
    stored = Inbox.objects.count()
    if failures or stored != count:
        raise SystemExit(f"{len(failures)} requests failed ({failures[:3]}), {stored} of {count} messages were stored")
    counted = count - 200
    python = (after[0] - before[0]) / counted * 1e6
    return {
        "received_per_second": round(counted / seconds),
        "webhook_python_us_per_request": round(python, 1),
        "webhook_postgres_us_per_request": round((after[1] - before[1]) / counted * 1e6, 1),
        "webhook_requests_per_core_second": round(1e6 / python),
    }


def _post_all(port: int, bodies: list[bytes]) -> list[int]:
    """Post from some threads; return the states that were not 200."""
    failures: list[int] = []

    def post(some: list[bytes]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for body in some:
            connection.request(
                "POST", "/webhooks/ses/", body, {"Host": HOST, "Content-Type": "text/plain; charset=UTF-8"}
            )
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                failures.append(response.status)
        connection.close()

    threads = [threading.Thread(target=post, args=(bodies[index::CLIENT_THREADS],)) for index in range(CLIENT_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures
