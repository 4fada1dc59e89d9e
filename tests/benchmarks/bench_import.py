"""Measure the import engine: `python -m tests.benchmarks.bench_import`.

Each size is imported by a fresh process, as a worker would, into a list, with attributes and consent records; the
account and the rows in the tables are checked, so that a fast import of the wrong thing fails. The baseline is a plain
COPY of the same file into a table of text columns: what the server needs to take the bytes at all. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg

from tests.benchmarks.harness import (
    PROJECT,
    Cpu,
    describe_machine,
    environment,
    last_line,
    say,
    scratch_database,
    services,
)

_DATABASE = "amazonsender_bench_import"
_CITIES = ("Riga", "Oslo", "Porto", "Kraków", "Łódź", "Bern", "Wien", "Graz", "Turku", "Москва", "Köln", "Lyon")
_HEADER = "email,first_name,last_name,city,points,customer_since,plan\n"


def main() -> None:
    """Import the small and the large file and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=int(os.environ.get("N", "1000000")))
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--mergers", type=int, default=2)
    parser.add_argument("--worker", metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(_import(Path(options.worker), options.mergers)))
        return
    with (
        services() as (server, broker),
        scratch_database(server, _DATABASE) as url,
        tempfile.TemporaryDirectory(prefix="bench-import-") as folder,
    ):
        say(describe_machine(server))
        _measure(url, environment(url, broker, DATA_DIR=f"{folder}/data"), Path(folder), options)


def _measure(url: str, env: dict[str, str], folder: Path, options: argparse.Namespace) -> None:
    # This process stays small: a child's peak of memory begins with that of the process it was forked from.
    migrate = [sys.executable, "manage.py", "migrate", "--verbosity=0", "--skip-checks"]
    subprocess.run(migrate, cwd=PROJECT, env=env, check=True)
    cpu = Cpu(url, [])
    results: dict[int, dict[str, Any]] = {}
    for rows in (options.small, options.rows):
        path = folder / f"{rows}.csv"
        _write(path, rows)
        command = [sys.executable, "-m", "tests.benchmarks.bench_import", "--worker", str(path)]
        command += ["--mergers", str(options.mergers)]
        postgres_before = cpu.read()[1]
        done = subprocess.run(command, cwd=PROJECT, env=env, check=True, capture_output=True, text=True)
        results[rows] = json.loads(done.stdout.splitlines()[-1])
        results[rows]["postgres_us"] = (cpu.read()[1] - postgres_before) / rows * 1e6
    small, large = results[options.small], results[options.rows]
    baseline = _copy_seconds(url, folder / f"{options.rows}.csv")
    rate = options.rows / large["seconds"]
    say(f"{options.rows:,} rows, {(folder / f'{options.rows}.csv').stat().st_size / 1e6:.0f} MB, 7 columns")
    say(f"reading {large['reading_seconds']:.1f} s, merging {large['merging_seconds']:.1f} s: {rate:,.0f} rows/s")
    say(f"CPU per row: Python {large['cpu_us']:.1f} µs + PostgreSQL {large['postgres_us']:.1f} µs")
    say(f"memory: {small['peak_mb']:.0f} → {large['peak_mb']:.0f} MB")
    say(f"plain COPY of the same file: {baseline:.2f} s")
    last_line(
        {
            "rows_per_second": round(rate),
            "peak_mb": round(large["peak_mb"], 1),
            "peak_mb_small": round(small["peak_mb"], 1),
            "ratio_to_baseline": round(large["seconds"] / baseline, 2),
            "seconds": round(large["seconds"], 2),
            "rows": options.rows,
            "small_rows": options.small,
            "python_us_per_row": round(large["cpu_us"], 2),
            "postgres_us_per_row": round(large["postgres_us"], 2),
        }
    )


def _import(path: Path, mergers: int) -> dict[str, Any]:
    """Run one import in this process and check its account against the tables."""
    import django

    django.setup()
    from organizations.models import Organization
    from subscribers.models import ConsentRecord, ImportMode, List, Subscriber, Subscription
    from subscribers.services.importing import configure_import, create_import, run_import, start_import

    organization = Organization.objects.create(name=path.stem)
    news = List.objects.create(organization=organization, name="News")
    with path.open("rb") as file:
        run = create_import(
            organization=organization, file_name=path.name, chunks=iter(lambda: file.read(1 << 20), b"")
        )
    configure_import(
        run=run,
        mapping=run.mapping,
        mode=ImportMode.ADD_AND_UPDATE,
        mailing_list=news,
        consent_text="Signed the form at the fair",
    )
    start_import(run=run)
    begin, cpu = time.perf_counter(), time.process_time()
    run_import(import_id=run.pk, mergers=mergers)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    run.refresh_from_db()
    rows = run.rows_expected
    accounted = run.created + run.duplicates + run.rejected
    assert (run.state, run.read, accounted, run.rejected) == ("done", rows, rows, rows // 1000), (run.state, run.error)
    assert run.mapping[3]["field"] == "attribute:city"
    for model in (Subscriber, Subscription, ConsentRecord):
        assert model.objects.for_organization(organization).count() == run.created
    times = sorted(filter(None, run.chunks.values_list("merged_at", flat=True)))
    merging = (times[-1] - times[0]).total_seconds()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds": seconds,
        "merging_seconds": merging,
        "reading_seconds": seconds - merging,
        "cpu_us": cpu / rows * 1e6,
        "peak_mb": peak / (1024 if sys.platform != "darwin" else 1024 * 1024),
    }


def _write(path: Path, rows: int) -> None:
    """Write people as files hold them: some twice, some without an address, some in quotes, in no order."""
    with path.open("w", encoding="utf-8") as file:
        file.write(_HEADER)
        for i in range(rows):
            mixed = i * 7_919 % rows
            name = f"person{mixed}" if i % 1000 != 500 else f"person{(i - 1) * 7_919 % rows}"
            email = f"{name}@mail{mixed % 400}.example.com" if i % 1000 != 999 else "no address"
            last = f"Orlov-{mixed % 5000}" if i % 20 else f'"Orlov, {mixed % 5000}"'
            file.write(
                f"{email},Anna{mixed % 800},{last},{_CITIES[mixed % len(_CITIES)]},{mixed % 10_000},"
                f"20{10 + mixed % 16}-{1 + mixed % 12:02}-{1 + mixed % 28:02},{('basic', 'gold')[mixed % 2]}\n"
            )


def _copy_seconds(url: str, path: Path) -> float:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE baseline (a text, b text, c text, d text, e text, f text, g text)")
        begin = time.perf_counter()
        statement = "COPY baseline FROM STDIN (FORMAT csv, HEADER)"
        with path.open("rb") as file, connection.cursor() as cursor, cursor.copy(statement) as copy:
            while block := file.read(1 << 18):
                copy.write(block)
        connection.commit()
        return time.perf_counter() - begin


if __name__ == "__main__":
    main()
