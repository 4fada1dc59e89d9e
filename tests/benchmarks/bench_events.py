"""Events per second: received one by one, received in batches, processed.

    python -m tests.benchmarks.bench_events [--events 100000] [--requests 10000] [--batched 100000] [--processes 2]

The processor reads a filled inbox (deliveries, opens, clicks, a bounce in a hundred, in random order over the whole
mailout) with the product's code, alone and in two processes; the webhook is the whole application behind Granian, one worker, signed messages, one
client process on the same machine. Batches are Firehose's requests of 500 events to one such worker, and messages that
`poll_events` takes from an SQS queue in a program of its own, whose speed bounds this last one. CPU time is what counts: on a machine that does other things, rates are lower.

The baseline is the least that anybody has to do with an event: its JSON read twice (envelope and document) and appended
to a table with COPY. The last line is JSON.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from typing import Any

import orjson
import psutil

from tests.benchmarks.harness import (
    describe_machine,
    environment,
    last_line,
    say,
    scratch_database,
    services,
    set_up_django,
)

BATCH = 1000
GOALS = {"received_per_second": 2000, "batched_per_second": 20_000, "processed_per_second": 20_000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--batched", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    with services() as (server, broker), scratch_database(server, "bench_events") as database:
        env = environment(database, broker)
        set_up_django(env)
        say(describe_machine(server))
        try:
            figures = bench_processor(options.events)
            if options.processes > 1:
                figures |= bench_processors(options.events, options.processes)
            if options.requests:
                from tests.benchmarks.webhook_load import bench_webhook

                figures |= bench_webhook(server, env, options.requests)
            if options.batched:
                from tests.benchmarks.batched_load import bench_batched

                figures |= bench_batched(server, env, options.batched)
        finally:
            from django.db import connections

            connections.close_all()
    for name, figure in figures.items():
        say(f"{name.replace('_', ' '):<45}{figure:>12,}")
    last_line(figures | {"goals": GOALS})


def bench_processor(count: int) -> dict[str, Any]:
    from tests.benchmarks.event_stream import checkpoint, fill_inbox, make_events, make_ledger

    people = max(count, 1000)
    mailout_id = make_ledger(people)
    events = make_events(mailout_id, people, count)
    baseline = bench_baseline([body for _, body in events])
    fill_inbox(events)
    backend = psutil.Process(checkpoint())
    cpu, backend_cpu, started = _cpu(), _cpu_of(backend), time.perf_counter()
    done = drain()
    seconds = time.perf_counter() - started
    python = (_cpu() - cpu) / count * 1e6
    postgres = (_cpu_of(backend) - backend_cpu) / count * 1e6
    if done != count:
        raise SystemExit(f"{done} of {count} events were processed")
    return {
        "events": count,
        "bytes_per_event": round(sum(len(body) for _, body in events) / count),
        "events_per_second": round(count / seconds),
        "processed_per_second": round(count / seconds),
        "python_us_per_event": round(python, 1),
        "postgres_us_per_event": round(postgres, 1),
        "events_per_core_second": round(1e6 / (python + postgres)),
        "baseline_us_per_event": round(baseline, 1),
        "times_the_baseline": round((python + postgres) / baseline, 1),
    }


def bench_baseline(bodies: list[bytes]) -> float:
    """CPU microseconds per event, Python and PostgreSQL, of reading JSON and appending rows."""
    from delivery.services.events.ledger import open_cursor

    with open_cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        row = cursor.fetchone()
        backend = psutil.Process(row[0] if row else 0)
        cursor.execute("CREATE TEMPORARY TABLE baseline (id bigint, body bytea)")
        before = _cpu() + _cpu_of(backend)
        for start in range(0, len(bodies), BATCH):
            with cursor.copy("COPY baseline FROM STDIN WITH (FORMAT binary)") as copy:
                copy.set_types(["int8", "bytea"])
                for number, body in enumerate(bodies[start : start + BATCH]):
                    document = orjson.loads(body)
                    if "Message" in document:
                        orjson.loads(document["Message"])
                    copy.write_row((number, body))
        after = _cpu() + _cpu_of(backend)
        cursor.execute("DROP TABLE baseline")
    return (after - before) / len(bodies) * 1e6


def drain() -> int:
    """Empty the inbox; return how many messages were taken."""
    from delivery.services.events import process_inbox

    done = 0
    while taken := process_inbox(limit=BATCH):
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
    from delivery.models import Inbox, Mailout
    from tests.benchmarks.event_stream import fill_inbox, make_events

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
    return {
        f"events_per_second_{processes}_processes": round(count / seconds),
        "processed_per_second": round(count / seconds),
    }


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _cpu_of(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    main()
