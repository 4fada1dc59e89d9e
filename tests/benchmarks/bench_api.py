"""The API at a steady rate: how long programs wait for reads and for single writes, on one web process.

    make bench-api             100 requests a second for 20 s over 100,000 people
    python -m tests.benchmarks.bench_api --rate 100 --seconds 20 --people 100000

One web server as the product starts it. Requests leave at fixed moments over kept connections: one that comes late
because the one before it was slow counts as slow itself. Four of five read (a person by address, a page of people, a
campaign, a page of a mailout's messages), one of five puts a person on a list. The last line is JSON.
"""

from __future__ import annotations

import argparse
import http.client
import random
import statistics
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.benchmarks import newsletter
from tests.benchmarks.harness import end, from_another_process, last_line, say, start_web
from tests.benchmarks.installation import installation

HOST = "mail.northwind.example"
CONNECTIONS = 8


@dataclass(frozen=True)
class Ask:
    """One request."""

    kind: str
    method: str
    path: str
    body: bytes = b""


@dataclass
class Load:
    """What the programs saw. latencies: milliseconds from the planned moment to the whole answer, by kind."""

    latencies: dict[str, list[float]] = field(default_factory=dict)
    wrong: Counter[str] = field(default_factory=Counter)  # "status path"
    seconds: float = 0.0

    def percentile(self, percent: int, *kinds: str) -> float:
        times = [took for kind, every in self.latencies.items() if not kinds or kind in kinds for took in every]
        return round(statistics.quantiles(times, n=100)[percent - 1], 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=100, help="requests per second")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--people", type=int, default=100_000)
    options = parser.parse_args()
    with installation("amazonsender_bench_api", API_REQUESTS_PER_MINUTE="1000000", LOG_LEVEL="INFO") as ours:
        secret, asks = prepare(options.people, options.rate * options.seconds)
        web, port = start_web(ours.env)
        try:
            ask(port, secret, asks[: options.rate], rate=options.rate)  # warm
            load = ask(port, secret, asks, rate=options.rate)
        finally:
            end([web])
    report(load)


def prepare(people_count: int, requests: int) -> tuple[str, list[Ask]]:
    """Make people, a sending to all of them and a draft; a key, and what to ask."""
    from campaigns.services.compose import create_campaign
    from delivery.services.compiling import compile_and_store
    from organizations.permissions import API_SCOPES
    from organizations.services.api_keys import issue_api_key
    from subscribers.models import Subscriber
    from tests.benchmarks.audience import make_account, make_organization, make_people
    from tests.benchmarks.mailouts import launch

    organization = make_organization()
    people = make_people(organization, people_count)
    compiled = compile_and_store(organization=organization, source=newsletter.newsletter())
    mailout = launch(
        organization=organization,
        account=make_account(organization, calls_in_flight=8),
        people=people,
        compiled=compiled,
        label="api",
    )
    draft = create_campaign(organization=organization, actor=None, name="Draft")
    _key, secret = issue_api_key(organization=organization, name="Bench", scopes=API_SCOPES, days=None, actor=None)
    chance = random.Random(1)
    known = list(Subscriber.objects.order_by("pk").values_list("email", flat=True)[:5000])
    asks: list[Ask] = []
    for place in range(requests):
        who = chance.choice(known)
        asks.append(
            [
                Ask("person", "GET", f"subscribers/{who}"),
                Ask("people", "GET", "subscribers?limit=50"),
                Ask("campaign", "GET", f"campaigns/{draft.pk}"),
                Ask("messages", "GET", f"mailouts/{mailout.pk}/messages?limit=50"),
                Ask("write", "PUT", f"subscribers/{place}-{who}", orjson.dumps({"first_name": "Ann", "list_ids": [people.pk]})),
            ][place % 5]
        )  # fmt: skip
    return secret, asks


def ask(port: int, secret: str, asks: list[Ask], *, rate: int) -> Load:
    """Ask `rate` a second, from a process of its own."""
    load: Load = from_another_process(_ask, port, secret, asks, rate)
    return load


def _ask(port: int, secret: str, asks: list[Ask], rate: int, answers: Any) -> None:
    load, lock = Load(), threading.Lock()
    headers = {"Host": HOST, "X-Forwarded-Proto": "https", "Authorization": f"Bearer {secret}"}
    begin = time.monotonic() + 0.2

    def run(first: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        for place in range(first, len(asks), CONNECTIONS):
            one = asks[place]
            due = begin + place / rate
            time.sleep(max(0.0, due - time.monotonic()))
            kind = {"Content-Type": "application/json"} if one.body else {}
            connection.request(one.method, f"/api/v1/{one.path}", one.body or None, headers | kind)
            response = connection.getresponse()
            response.read()
            took = (time.monotonic() - due) * 1000
            with lock:
                load.latencies.setdefault(one.kind, []).append(took)
                if response.status not in (200, 201):
                    load.wrong[f"{response.status} {one.kind}"] += 1
        connection.close()

    threads = [threading.Thread(target=run, args=(first,)) for first in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.seconds = time.monotonic() - begin
    answers.put(load)


def report(load: Load) -> None:
    """Say what came out. Raises SystemExit when an answer was none."""
    for kind in load.latencies:
        say(f"{kind}: p50 {load.percentile(50, kind)} ms, p95 {load.percentile(95, kind)} ms")
    reads = tuple(kind for kind in load.latencies if kind != "write")
    count = sum(map(len, load.latencies.values()))
    last_line(
        {
            "p95_ms": load.percentile(95),
            "p50_ms": load.percentile(50),
            "p99_ms": load.percentile(99),
            "reads_p95_ms": load.percentile(95, *reads),
            "writes_p95_ms": load.percentile(95, "write"),
            "requests_per_second": round(count / load.seconds),
            "wrong_answers": sum(load.wrong.values()),
        }
    )
    if load.wrong:
        raise SystemExit(f"FAILED: {dict(load.wrong)}")


if __name__ == "__main__":
    main()
