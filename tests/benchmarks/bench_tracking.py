"""Clicks and opens beside a send: how long readers wait while ten thousand emails a second go out, and what a crash costs.

    make bench-tracking        500 requests a second for 15 s
    python -m tests.benchmarks.bench_tracking --rate 500 --seconds 15 --emails-per-second 10000

One web server as the product starts it, half of the requests for the pixel, half for a link, each of another message,
at fixed moments: a request that comes late because the one before it was slow counts as slow itself. Then the same
without a send (the baseline), and once more with the web server killed in the middle (SIGKILL): every answer that a
reader got must stand in the ledger in the end. The last line is JSON.
"""

from __future__ import annotations

import argparse
import http.client
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks import newsletter
from tests.benchmarks.harness import end, from_another_process, kill, last_line, say, start_web
from tests.benchmarks.installation import Installation, installation

HOST = "mail.northwind.example"
AGENT = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15"
)
CONNECTIONS = 16  # kept by a reverse proxy


@dataclass
class Load:
    """What the readers saw. latencies: milliseconds from the planned moment to the whole answer."""

    latencies: list[float] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)  # n of the messages whose request got its right answer
    wrong: int = 0
    seconds: float = 0.0

    def percentile(self, percent: int) -> float:
        return statistics.quantiles(self.latencies, n=100)[percent - 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=500, help="requests per second")
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--emails-per-second", type=int, default=10_000)
    options = parser.parse_args()
    with (
        installation(
            "amazonsender_bench_tracking",
            ENGINE_SLOTS="2",
            LOG_LEVEL="INFO",  # as on a server: each request leaves a line
        ) as ours,
        tempfile.TemporaryDirectory() as folder,
    ):
        ours.stub.change(max_send_rate=options.emails_per_second)
        log = Path(folder) / "celery.log"
        with ours.workers(log):
            run_all(ours, log, options)


def run_all(ours: Installation, log: Path, options: argparse.Namespace) -> None:
    from delivery.services.compiling import compile_and_store
    from tests.benchmarks.audience import make_account, make_organization, make_people
    from tests.benchmarks.mailouts import launch, wait

    requests = options.rate * options.seconds
    organization = make_organization()
    account = make_account(organization, calls_in_flight=8)
    people = make_people(organization, max(options.emails_per_second * (options.seconds + 10), requests * 3 + 5000))
    compiled = compile_and_store(organization=organization, source=newsletter.newsletter())
    send = partial(launch, organization=organization, account=account, people=people, compiled=compiled)
    sent = send(label="read")
    wait(sent, log)
    numbers = numbers_of(sent)
    pace(account, options.emails_per_second)
    say(
        f"sizes: {requests:,} requests, half pixels, half clicks, over {CONNECTIONS} kept connections; {len(numbers):,} messages to be read"
    )

    web, port = start_web(ours.env)
    try:
        ask(port, sent.pk, numbers[-500:], rate=100)  # warm
        alone = ask(port, sent.pk, numbers[:requests], rate=options.rate)
        report("alone", alone)
        send(label="beside")
        time.sleep(2)  # the send has reached its rate
        before, started = emails_sent(), time.monotonic()
        beside = ask(port, sent.pk, numbers[requests : 2 * requests], rate=options.rate)
        emails = (emails_sent() - before) / (time.monotonic() - started)
        report(f"beside {emails:,.0f} emails/s", beside)
    finally:
        end([web])
    lost = answered_but_lost(ours.env, sent.pk, numbers[2 * requests : 3 * requests], options.rate)
    for load in (alone, beside):
        lost += missing(sent.pk, load.answered)
    say(f"answers that are not in the ledger: {lost}")
    last_line(
        {
            "p95_ms": round(beside.percentile(95), 2),
            "p50_ms": round(beside.percentile(50), 2),
            "p99_ms": round(beside.percentile(99), 2),
            "requests_per_second": round(len(beside.answered) / beside.seconds),
            "emails_per_second": round(emails),
            "alone_p95_ms": round(alone.percentile(95), 2),
            "ratio_to_alone": round(beside.percentile(95) / alone.percentile(95), 2),
            "wrong_answers": alone.wrong + beside.wrong,
            "lost": lost,
        }
    )
    if lost or alone.wrong or beside.wrong:
        raise SystemExit("FAILED: an answer was wrong, or given and not stored")


def pace(account: Any, rate: int) -> None:
    from delivery.models import AccountPace

    AccountPace.objects.filter(account=account).update(max_rate=rate)


def numbers_of(mailout: Any) -> list[int]:
    from delivery.models import Message, MessageState

    sent = Message.objects.filter(mailout_id=mailout.pk, state=MessageState.SENT)
    return list(sent.order_by("n").values_list("n", flat=True))


def emails_sent() -> int:
    from django.db.models import Sum

    from delivery.models import MessageBatch

    return int(MessageBatch.objects.aggregate(total=Sum("sent"))["total"] or 0)


def ask(port: int, mailout_id: int, numbers: list[int], *, rate: int) -> Load:
    """Ask for each message's pixel or first link, `rate` a second, from a process of its own."""
    load: Load = from_another_process(_ask, port, mailout_id, numbers, rate)
    return load


def _ask(port: int, mailout_id: int, numbers: list[int], rate: int, answers: Any) -> None:
    from delivery.tokens import track_token

    load, lock = Load(), threading.Lock()
    paths = [
        (n, f"/o/{track_token(mailout_id, n)}.gif" if n % 2 else f"/c/{track_token(mailout_id, n)}/1") for n in numbers
    ]
    begin = time.monotonic() + 0.2

    def run(first: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        for place in range(first, len(paths), CONNECTIONS):
            n, path = paths[place]
            due = begin + place / rate
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                connection.request("GET", path, headers={"Host": HOST, "User-Agent": AGENT})
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException):
                connection.close()  # nobody got an answer
                continue
            took = (time.monotonic() - due) * 1000
            with lock:
                load.latencies.append(took)
                if response.status == (200 if n % 2 else 302):
                    load.answered.append(n)
                else:
                    load.wrong += 1
        connection.close()

    threads = [threading.Thread(target=run, args=(first,)) for first in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.seconds = time.monotonic() - begin
    answers.put(load)


def report(label: str, load: Load) -> None:
    say(
        f"{label}: p50 {load.percentile(50):.1f} ms, p95 {load.percentile(95):.1f} ms, p99 {load.percentile(99):.1f} ms, "
        f"{len(load.answered) / load.seconds:,.0f} requests/s, {load.wrong} wrong answers"
    )


def answered_but_lost(env: dict[str, str], mailout_id: int, numbers: list[int], rate: int) -> int:
    """Kill the web server in the middle of the load; how many of the answers it gave are not in the ledger."""
    web, port = start_web(env)
    middle = len(numbers) / rate / 2
    killer = threading.Timer(middle, lambda: kill([web]))
    killer.start()
    load = ask(port, mailout_id, numbers, rate=rate)
    killer.join()
    say(f"killed after {middle:.0f} s: {len(load.answered):,} of {len(numbers):,} requests had been answered")
    return missing(mailout_id, load.answered)


def missing(mailout_id: int, answered: list[int]) -> int:
    """How many of these messages are neither opened nor clicked once every stored act was processed."""
    from django.db.models import Q

    from delivery.models import Inbox, Message

    deadline = time.monotonic() + 120
    while Inbox.objects.exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    read = Message.objects.filter(Q(opened_at__isnull=False) | Q(clicked_at__isnull=False), mailout_id=mailout_id)
    return len(set(answered) - set(read.values_list("n", flat=True)))


if __name__ == "__main__":
    main()
