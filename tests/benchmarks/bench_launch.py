"""Seconds to freeze an audience: a million messages from a list of a million, exclusions included.

make bench-launch
make bench-launch N=200000
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from datetime import datetime, timedelta

from tests.benchmarks import newsletter
from tests.benchmarks.harness import (
    describe_machine,
    environment,
    last_line,
    say,
    scratch_database,
    services,
    set_up_django,
)

ZONES = (
    "Europe/Lisbon", "Europe/Berlin", "Europe/Riga", "America/New_York", "America/Los_Angeles", "America/Sao_Paulo", "Asia/Tokyo",
    "Asia/Kolkata", "Asia/Tbilisi", "Australia/Sydney", "Africa/Nairobi", "Pacific/Auckland",
)  # fmt: skip
RUNS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=int(os.environ.get("N") or 1_000_000), help="people on the list")
    options = parser.parse_args()
    with services() as (server, broker), scratch_database(server, "amazonsender_bench_launch") as url:
        say(describe_machine(server))
        set_up_django(environment(url, broker, PUBLIC_URL=newsletter.PUBLIC_URL))
        run_all(options.n)


def run_all(count: int) -> None:
    from django.db import connection

    from delivery.selectors.audience import Audience
    from delivery.services.compiling import compile_and_store
    from delivery.services.launching import launch_mailout
    from tests.benchmarks.audience import make_account, make_organization, make_people

    organization = make_organization()
    account = make_account(organization, calls_in_flight=1)
    people = make_people(organization, count, zones=ZONES)
    compiled = compile_and_store(organization=organization, source=newsletter.newsletter())
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO subscribers_suppression (organization_id, address_key, scope, reason, source, created_at)"
            " SELECT organization_id, address_key, 'all', 'hard_bounce', '', now() FROM subscribers_subscriber WHERE id % 100 = 0"
        )
        cursor.execute("VACUUM ANALYZE")

    def launch(label: str, **options: object) -> tuple[float, int, int]:
        with connection.cursor() as cursor:
            cursor.execute("CHECKPOINT")
        started = time.perf_counter()
        mailout = launch_mailout(
            organization=organization, account=account, name=label, idempotency_key=label, emails=[compiled],
            audience=Audience((people.pk,)), sender="News <news@northwind.example>", **options,  # type: ignore[arg-type]
        )  # fmt: skip
        seconds = time.perf_counter() - started
        with connection.cursor() as cursor:
            # One mailout at a time in the partition, as in a month's first launch; the table keeps its size between runs.
            cursor.execute("DELETE FROM delivery_message_batch")
            cursor.execute("TRUNCATE delivery_message")
        return seconds, mailout.candidates, mailout.eligible

    morning = datetime.combine(datetime.now().date() + timedelta(days=2), datetime.min.time()) + timedelta(hours=9)
    plain, waves, rows, eligible = [], [], 0, 0
    for run in range(RUNS):
        seconds, rows, eligible = launch(f"plain {run}")
        plain.append(seconds)
        waves.append(launch(f"waves {run}", local_time=morning)[0])
        say(f"run {run + 1}: plain {plain[-1]:.2f} s, ordered by {len(ZONES)} time-zone waves {waves[-1]:.2f} s")
    with connection.cursor() as cursor:
        started = time.perf_counter()
        cursor.execute(
            "SELECT count(*) FROM subscribers_subscription u JOIN subscribers_subscriber s ON s.id = u.subscriber_id WHERE u.list_id = %s",
            [people.pk],
        )
        baseline = time.perf_counter() - started
    say(
        f"sizes: {rows:,} candidates, {rows - eligible:,} of them left out with their reason; baseline (counting the same join): {baseline:.2f} s"
    )
    last_line(
        {
            "seconds": round(statistics.median(plain), 2),
            "seconds_waves": round(statistics.median(waves), 2),
            "rows": rows,
            "eligible": eligible,
            "ratio_to_baseline": round(statistics.median(plain) / baseline, 1),
        }
    )


if __name__ == "__main__":
    main()
