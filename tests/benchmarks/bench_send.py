"""Emails per second through the real path: Celery workers, production settings, limiter, consent re-check, settle-and-arm.

    make bench-send            200,000 people
    make bench-send N=1000000

The provider is a process of its own that checks signatures and counts recipients itself; a difference between its
record and the ledger fails the run.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from tests.benchmarks import newsletter
from tests.benchmarks.harness import Cpu, last_line, say
from tests.benchmarks.installation import Installation, installation
from tests.benchmarks.provider_stub import StubProcess

PROCESSES = 2
IN_FLIGHT = 8  # configured calls in flight per process in the runs with latency
CEILING_CALLS = 64
OBSERVED_TURNS = 3


@dataclass
class Run:
    emails: int
    seconds: float
    python_us: float
    postgres_us: float
    peak_mb: float
    wire_bytes: float
    events_per_second: float = 0.0

    @property
    def rate(self) -> float:
        return self.emails / self.seconds


@dataclass
class Comparison:
    """Emails per second without and with everything that watches, run in turns."""

    plain_rates: list[float]
    observed_rates: list[float]

    @property
    def plain(self) -> float:
        return median(self.plain_rates or [0.0])

    @property
    def observed(self) -> float:
        return median(self.observed_rates or [0.0])

    @property
    def ratio(self) -> float:
        return self.observed / self.plain if self.plain else 0.0


class Memory(threading.Thread):
    """Peak PSS of the send workers' children, megabytes."""

    def __init__(self, worker: psutil.Process) -> None:
        super().__init__(daemon=True)
        self.worker = worker
        self.peak = 0.0
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(1.0):  # reading it takes the processor from what is measured
            for child in self.worker.children():
                try:
                    self.peak = max(self.peak, child.memory_full_info().pss / 2**20)
                except (psutil.NoSuchProcess, AttributeError):
                    continue


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=int(os.environ.get("N") or 200_000), help="people")
    parser.add_argument("--log", type=Path, help="keep what the workers print here")
    parser.add_argument("--skip-latency", action="store_true", help="only the run at 0 ms")
    parser.add_argument(
        "--observed", action="store_true", help="then by turns without and with logs, metrics and Sentry"
    )
    options = parser.parse_args()
    with installation("amazonsender_bench_send", ENGINE_SLOTS=str(PROCESSES)) as ours:
        run_all(options.n, ours, skip_latency=options.skip_latency, keep_log=options.log, observed=options.observed)


def run_all(
    count: int, ours: Installation, *, skip_latency: bool, keep_log: Path | None, observed: bool = False
) -> None:
    from delivery.services.compiling import compile_and_store
    from tests.benchmarks.audience import make_account, make_organization, make_people

    organization = make_organization()
    account = make_account(organization, calls_in_flight=IN_FLIGHT)
    people = make_people(organization, count)
    compiled = compile_and_store(organization=organization, source=newsletter.newsletter())
    say(
        f"sizes: {count:,} people, {compiled.html_bytes:,} bytes of HTML, {len(compiled.links)} links, {PROCESSES} send processes"
    )
    with tempfile.TemporaryDirectory() as folder:
        log = keep_log or Path(folder) / "celery.log"
        with ours.workers(log, processes=PROCESSES) as workers:
            cpu, sender = Cpu(ours.server, workers), psutil.Process(workers[0].pid)
            scene = Scene(organization, account, people, compiled, ours.stub, cpu, sender, log, ours.database)
            scene.run("warm-up", latency_ms=0)
            full = scene.run("0 ms", latency_ms=0)
            told = scene.run("events on", latency_ms=0, with_events=True)
            shares = {}
            for latency in () if skip_latency else (50, 200):
                run = scene.run(f"{latency} ms", latency_ms=latency)
                possible = PROCESSES * IN_FLIGHT * 50 / (latency / 1000)
                shares[latency] = run.rate / possible
                say(
                    f"    {shares[latency]:.0%} of {possible:,.0f}/s, which {PROCESSES} × {IN_FLIGHT} calls in flight could carry"
                )
        watched = compare_observed(ours, scene, log, Path(folder)) if observed else Comparison([], [])
    ceiling = measure_ceiling(ours.stub, count)
    say(
        f"ceiling: {ceiling:,.0f} emails/s, the same calls built before and sent by {PROCESSES} processes without the product"
    )
    last_line(
        {
            "emails_per_second": round(full.rate),
            "cpu_us_per_email": round(full.python_us + full.postgres_us, 1),
            "python_us_per_email": round(full.python_us, 1),
            "postgres_us_per_email": round(full.postgres_us, 1),
            "latency_50ms_share": round(shares.get(50, 0), 3),
            "latency_200ms_share": round(shares.get(200, 0), 3),
            "worker_peak_mb": round(full.peak_mb, 1),
            "wire_bytes_per_email": round(full.wire_bytes),
            "ratio_to_ceiling": round(full.rate / ceiling, 3),
            "events": "off",
            "emails_per_second_events_on": round(told.rate),
            "events_per_second": round(told.events_per_second),
            "emails_per_second_plain_in_turns": round(watched.plain),
            "emails_per_second_observed": round(watched.observed),
            "observed_ratio": round(watched.ratio, 3),
            "people": count,
        }
    )


class Scene:
    """One audience, sent again and again under different conditions."""

    def __init__(
        self,
        organization: Any,
        account: Any,
        people: Any,
        compiled: Any,
        stub: StubProcess,
        cpu: Cpu,
        worker: psutil.Process,
        log: Path,
        database_url: str,
    ) -> None:
        self.organization = organization
        self.account = account
        self.people = people
        self.compiled = compiled
        self.stub = stub
        self.cpu = cpu
        self.worker = worker
        self.log = log
        self.database_url = database_url

    def follow(self, cpu: Cpu, worker: psutil.Process) -> None:
        """Measure other workers from here on."""
        self.cpu, self.worker = cpu, worker

    def run(self, label: str, *, latency_ms: float, with_events: bool = False) -> Run:
        from tests.benchmarks.mailouts import checkpoint, launch, verify, wait

        self.stub.change(latency_ms=latency_ms)
        self.stub.reset()
        checkpoint()
        memory = Memory(self.worker)
        memory.start()
        mailout = launch(
            organization=self.organization,
            account=self.account,
            people=self.people,
            compiled=self.compiled,
            label=label,
        )
        before = self.cpu.read()
        events_per_second = 0.0
        if with_events:
            events_per_second = self._wait_with_events(mailout)
        else:
            wait(mailout, self.log)
        checkpoint()
        after = self.cpu.read()
        memory.ended.set()
        emails, seconds = verify(mailout, self.compiled, self.stub, self.log)
        stats = self.stub.stats()
        run = Run(
            emails,
            seconds,
            (after[0] - before[0]) / emails * 1e6,
            (after[1] - before[1]) / emails * 1e6,
            memory.peak,
            stats["bytes"] / emails,
            events_per_second,
        )
        say(
            f"{label:>8}: {run.rate:,.0f} emails/s ({emails:,} in {seconds:.2f} s), CPU per email: Python {run.python_us:.1f} µs + PostgreSQL "
            f"{run.postgres_us:.1f} µs (stub {stats['cpu_seconds'] / emails * 1e6:.1f} µs), peak {run.peak_mb:.0f} MB PSS per send process, "
            f"{run.wire_bytes:,.0f} bytes on the wire per email, at most {stats['max_in_flight']} calls in flight, "
            + (f"{events_per_second:,.0f} events/s processed beside" if with_events else "events off")
        )
        return run

    def _wait_with_events(self, mailout: Any) -> float:
        """Feed a Send and a Delivery event per message while it sends; events per second until the last is processed."""
        from delivery.models import Inbox
        from tests.benchmarks.events_on import feed_events
        from tests.benchmarks.mailouts import wait

        started = time.monotonic()
        with feed_events(self.database_url, mailout.pk) as fed:
            wait(mailout, self.log)
        while Inbox.objects.exists():
            time.sleep(0.1)
        return fed.events / (time.monotonic() - started)


def compare_observed(ours: Installation, scene: Scene, log: Path, folder: Path) -> Comparison:
    """Send with and without logs, metrics and Sentry by turns, since a busy neighbour slows whatever is running."""
    variables = {"LOG_LEVEL": "INFO", "LOG_FORMAT": "json", "METRICS_TOKEN": "b" * 32, "METRICS_DIR": str(folder)}
    variables["SENTRY_DSN"] = "http://key@127.0.0.1:9/1"
    watched = replace(ours, env=ours.env | variables)
    comparison = Comparison([], [])
    for turn in range(1, OBSERVED_TURNS + 1):
        for name, which, rates in (
            ("plain", ours, comparison.plain_rates),
            ("observed", watched, comparison.observed_rates),
        ):
            with which.workers(log, processes=PROCESSES) as workers:
                scene.follow(Cpu(ours.server, workers), psutil.Process(workers[0].pid))
                scene.run(f"{name} {turn}, warm-up", latency_ms=0)
                rates.append(scene.run(f"{name} {turn}", latency_ms=0).rate)
    say(
        f"observed: {comparison.observed:,.0f} emails/s beside {comparison.plain:,.0f} plain (medians of {OBSERVED_TURNS} turns), "
        f"{comparison.ratio:.1%} of it"
    )
    return comparison


def ceiling_worker(url: str, access_key: str, secret_key: str, calls: int) -> None:
    """Build some calls, then send them over and over: what client and provider can do without any product."""
    from delivery.compiling import Program, Tokens, compile_email
    from delivery.providers.base import Entry, OutgoingEmail
    from delivery.providers.ses import SesProvider

    provider = SesProvider("us-east-1", endpoint_url=url, access_key=access_key, secret_key=secret_key)
    compilation = compile_email(
        newsletter.newsletter(), footer=newsletter.FOOTER, schema=newsletter.SCHEMA, public_url=newsletter.PUBLIC_URL,
        organization=newsletter.ORGANIZATION,
    )  # fmt: skip
    program = Program.load(compilation.payload)
    prepared = provider.prepare(
        OutgoingEmail("News <news@northwind.example>", (), program.ses_subject, program.ses_html, program.ses_text)
    )
    built = []
    for number in range(CEILING_CALLS):
        entries = [
            Entry(
                f"reader{i}@example.com",
                program.values(newsletter.person(i), Tokens("t" * 28, "m" * 36)),
                (("List-Unsubscribe", f"<https://x.example/u/{i}>"),),
                f"tag{i}",
            )
            for i in range(number * 50, number * 50 + 50)
        ]
        built.append(provider.build(prepared, entries, f"{number:032x}"))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda number: provider.send(built[number % CEILING_CALLS]), range(calls)))


def measure_ceiling(stub: StubProcess, count: int) -> float:
    """Emails per second of the same calls without the product, in as many processes."""
    stub.change(latency_ms=0)
    stub.reset()
    context = get_context("spawn")
    calls = max(1, count // 50 // PROCESSES)
    processes = [
        context.Process(target=ceiling_worker, args=(stub.url, stub.access_key, stub.secret_key, calls))
        for _ in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    stats = stub.stats()
    return float(stats["recipients"] / max(stats["last_at"] - stats["first_at"], 0.01))


if __name__ == "__main__":
    main()
