"""Events per second: the processor's, and the webhook's.

    DATABASE_URL=postgresql://postgres@127.0.0.1:5432/postgres python tests/benchmarks/bench_events.py [--events 100000]

Makes a database of its own and drops it. The processor reads a filled inbox (deliveries, opens, clicks, some bounces, in
random order) with the product's code, in one process; the webhook is the whole Django application behind Granian, one
worker, signed messages of Local SES's kind, one client process on the same machine. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
NAME = "bench_events"
PEOPLE_PER_DOMAIN = 50
BROWSER = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--skip-webhook", action="store_true")
    options = parser.parse_args()
    parts = urlsplit(os.environ["DATABASE_URL"])
    admin_url = urlunsplit(parts._replace(path="/postgres"))
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {NAME}")
    os.environ["DATABASE_URL"] = urlunsplit(parts._replace(path=f"/{NAME}"))
    os.environ["DJANGO_SETTINGS_MODULE"] = "amazonsender.settings.test"
    os.environ["LOG_LEVEL"] = "WARNING"
    try:
        prepare()
        result = bench_processor(options.events)
        result |= bench_processors(options.events, options.processes)
        if not options.skip_webhook:
            result |= bench_webhook(options.requests)
    finally:
        from django.db import connections

        connections.close_all()
        with psycopg.connect(admin_url, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
    print(json.dumps(result))


def prepare() -> None:
    import django

    django.setup()
    from django.core.management import call_command
    from django.utils import timezone

    from delivery.services.partitions import ensure_partitions

    call_command("migrate", verbosity=0)
    ensure_partitions(at=timezone.now())


def make_ledger(people: int) -> int:
    """One mailout to `people` subscribers, all sent."""
    from django.db import connection
    from django.utils import timezone

    from delivery.models import Mailout
    from delivery.services.partitions import MAILOUTS_PER_MONTH, month_number
    from organizations.models import Organization

    organization = Organization.objects.create(name="Bench")
    mailout = Mailout.objects.create(
        id=month_number(timezone.now()) * MAILOUTS_PER_MONTH + 1,
        organization=organization,
        kind="campaign",
        lane=2,
        name="Bench",
        idempotency_key="bench",
        sender="Bench <bench@example.com>",
        frozen_at=timezone.now(),
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO subscribers_domain (name) SELECT 'd' || g || '.example.com' FROM generate_series(1, %s) g",
            [people // PEOPLE_PER_DOMAIN + 1],
        )
        cursor.execute(
            """
            INSERT INTO subscribers_subscriber (organization_id, email, address_key, domain_id, first_name, last_name, locale,
                   time_zone, attributes, tags, status, is_sample, created_at, updated_at)
            SELECT %s, a, a, 1 + g / %s, '', '', '', '', '{}', '{}', 'active', false, now(), now()
              FROM (SELECT g, 'p' || g || '@d' || (1 + g / %s) || '.example.com' AS a FROM generate_series(1, %s) g) x
             ORDER BY g
            """,
            [organization.pk, PEOPLE_PER_DOMAIN, PEOPLE_PER_DOMAIN, people],
        )
        cursor.execute(
            """
            INSERT INTO delivery_message (mailout_id, n, subscriber_id, domain_id, state, sent_at, provider_id, address_hash)
            SELECT %s, row_number() OVER (ORDER BY id), id, domain_id, 1, now(), 'ses-' || id, hashtext(address_key)
              FROM subscribers_subscriber ORDER BY id
            """,
            [mailout.pk],
        )
        cursor.execute("VACUUM ANALYZE")
    return mailout.pk


def make_events(mailout_id: int, people: int, count: int, *, seed: int = 1) -> list[tuple[str, bytes]]:
    from datetime import UTC, datetime, timedelta

    from delivery.models import EventType
    from delivery.services.events.readers import write_act
    from tests.delivery.events.notifications import envelope, event

    rng = random.Random(seed)
    start = datetime.now(UTC).replace(microsecond=0)
    made: list[tuple[str, bytes]] = []
    for _ in range(count):
        n = rng.randint(1, people)
        to = f"p{n}@d{1 + n // PEOPLE_PER_DOMAIN}.example.com"
        at = start + timedelta(milliseconds=rng.randint(0, 3_600_000))
        kind = rng.random()
        if kind < 0.25:
            act = write_act(
                type_=EventType.OPENED, mailout_id=mailout_id, n=n, at=at, ip="198.51.100.0", user_agent=BROWSER
            )
            made.append(("reader", act))
        elif kind < 0.30:
            link_no = rng.randint(1, 20)
            act = write_act(
                type_=EventType.CLICKED,
                mailout_id=mailout_id,
                n=n,
                at=at,
                ip="198.51.100.0",
                user_agent=BROWSER,
                link_no=link_no,
            )
            made.append(("reader", act))
        else:
            name = "bounce" if kind < 0.31 else "delivery"
            document = event(name, mailout_id=mailout_id, n=n, to=to, body={"timestamp": at.isoformat()})
            made.append(("ses", envelope(document)))
    return made


def fill_inbox(events: list[tuple[str, bytes]]) -> None:
    from delivery.services.events.ledger import open_cursor

    with open_cursor().copy("COPY delivery_inbox (source, body) FROM STDIN WITH (FORMAT binary)") as copy:
        copy.set_types(["varchar", "bytea"])
        for row in events:
            copy.write_row(row)


def bench_processor(count: int) -> dict[str, Any]:
    from django.db import connection

    people = max(count, 1000)
    mailout_id = make_ledger(people)
    events = make_events(mailout_id, people, count)
    fill_inbox(events)
    size = sum(len(body) for _, body in events)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE delivery_inbox")
        cursor.execute("CHECKPOINT")
        cursor.execute("SELECT pg_backend_pid()")
        backend = cursor.fetchone()[0]
    cpu, backend_cpu = _cpu(), _cpu_of(backend)
    started = time.perf_counter()
    done = drain()
    seconds = time.perf_counter() - started
    if done != count:
        raise SystemExit(f"{done} of {count} events were processed")
    return {
        "events": count,
        "events_per_second": round(count / seconds),
        "python_us_per_event": round((_cpu() - cpu) / count * 1e6, 1),
        "postgres_us_per_event": round((_cpu_of(backend) - backend_cpu) / count * 1e6, 1),
        "bytes_per_event": round(size / count),
    }


def drain() -> int:
    """Empty the inbox; return how many messages were taken."""
    from delivery.services.events import process_inbox

    done = 0
    while taken := process_inbox(limit=1000):
        done += taken
    return done


def drain_beside_others(ready: Any, go: Any, done: Any) -> None:
    """A processor in a process of its own, warm before the clock starts."""
    import django

    django.setup()
    drain()
    ready.release()
    go.wait()
    done.put(drain())


def bench_processors(count: int, processes: int) -> dict[str, Any]:
    """The same with several processes at once, which share out the inbox."""
    import multiprocessing

    from delivery.models import Inbox, Mailout

    context = multiprocessing.get_context("spawn")
    ready, go, done = context.Semaphore(0), context.Event(), context.Queue()
    workers = [context.Process(target=drain_beside_others, args=(ready, go, done)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    for _ in workers:
        ready.acquire()
    fill_inbox(make_events(Mailout.objects.get().pk, count, count, seed=2))
    started = time.perf_counter()
    go.set()
    total = sum(done.get() for _ in workers)
    seconds = time.perf_counter() - started
    for worker in workers:
        worker.join()
    if total != count or Inbox.objects.exists():
        raise SystemExit(f"{total} of {count} events were processed")
    return {f"events_per_second_{processes}_processes": round(count / seconds)}


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _cpu_of(pid: int) -> float:
    """CPU seconds of a PostgreSQL backend on this machine; 0 when it runs elsewhere."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _cpu_of_group(pid: int) -> float:
    """CPU seconds of a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return _cpu_of(pid) + sum(_cpu_of(int(child)) for child in children.read_text().split())


def bench_webhook(count: int) -> dict[str, Any]:
    """Signed notifications over keep-alive connections to one Granian worker."""
    import http.client
    import signal
    import socket
    import subprocess
    import threading
    import urllib.request

    from delivery.models import Inbox, SendingAccount
    from delivery.services.events import inbox  # noqa: F401 - the application is importable
    from organizations.models import Organization
    from tests.delivery.events.notifications import event
    from tests.webhooks.signer import Signer

    topic = "arn:aws:sns:us-east-1:000000000000:bench"
    folder = Path(tempfile.mkdtemp(prefix="bench-events-"))
    signer = Signer()
    certificate = folder / "certificate.pem"
    certificate.write_bytes(signer.certificate_pem)
    SendingAccount.objects.create(
        organization=Organization.objects.get(), name="Bench", is_local=True, topic_arns=[topic]
    )
    document = json.dumps(event("delivery", mailout_id=7, n=1))
    bodies = [signer.notification(document, topic=topic, message_id=f"bench-{number}") for number in range(count)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "LOCALSES_URL": "http://127.0.0.1:1",
        "LOCALSES_CERTIFICATE": str(certificate),
        "DB_POOL": "0",
    }
    command = [
        sys.executable,
        "-m",
        "granian",
        "--interface",
        "wsgi",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
        "--blocking-threads",
        "4",
        "--no-ws",
        "--log-level",
        "warning",
        "amazonsender.wsgi:application",
    ]
    server = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        failures: list[int] = []

        def post(some: list[bytes]) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", port)
            for body in some:
                connection.request("POST", "/webhooks/ses/", body, {"Content-Type": "text/plain; charset=UTF-8"})
                response = connection.getresponse()
                response.read()
                if response.status != 200:
                    failures.append(response.status)
            connection.close()

        threads = 8
        cpu = _cpu_of_group(server.pid)
        started = time.perf_counter()
        workers = [threading.Thread(target=post, args=(bodies[index::threads],)) for index in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        seconds = time.perf_counter() - started
        cpu = _cpu_of_group(server.pid) - cpu
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=20)
    stored = Inbox.objects.count()
    if failures or stored != count:
        raise SystemExit(f"{len(failures)} requests failed ({failures[:3]}), {stored} of {count} messages were stored")
    return {
        "webhook_requests_per_second": round(count / seconds),
        "webhook_python_us_per_request": round(cpu / count * 1e6, 1),
    }


if __name__ == "__main__":
    main()
