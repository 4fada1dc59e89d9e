"""Everything at once for a long time: does anything grow that should not?

    make soak MINUTES=60
    python -m tests.soak --minutes 60 --rate 500 --reads 25

Campaigns with their events, imports and readers work together on an installation of its own: production settings, one
send worker of two processes, one work worker, scheduler, web server, PostgreSQL that keeps its promises, a provider
stub. Linux only. Every 10 seconds it takes the memory of each process (PSS), connections, what tables and indexes take, dead rows,
and the ages of the oldest event, the oldest due batch and the length of the broker's queues. The first third is warm-up.
Over the rest a line is fitted to each series, and how far it rises must stay below the limits of tests/soak/report.py.

It prints a table (start, middle, end, slope per hour) and the folder with a picture and all samples. The last line is
JSON; exit code 1 when something grows.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson

from tests.benchmarks import newsletter
from tests.benchmarks.harness import end, last_line, say, start_web
from tests.benchmarks.installation import Installation, installation
from tests.soak.report import WARM_UP_SHARE, Series, picture, table
from tests.soak.sampling import OWN_NAME, Sampler

CAMPAIGN_SECONDS = 15  # how long one campaign takes at the rate
SAY_EVERY_SECONDS = 60.0
TOLD_WITHIN_SECONDS = 120.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("MINUTES") or 60))
    parser.add_argument("--every", type=float, default=10.0, help="seconds between samples")
    parser.add_argument("--rate", type=int, default=500, help="emails per second")
    parser.add_argument("--reads", type=int, default=25, help="opens and clicks per second")
    parser.add_argument("--rows", type=int, default=5000, help="rows of each import")
    options = parser.parse_args()
    if options.minutes * 60 < 6 * options.every:
        parser.error("at least six samples are needed")
    folder = Path(tempfile.mkdtemp(prefix="amazonsender-soak-"))
    with installation("amazonsender_soak", DATA_DIR=str(folder / "data")) as ours:
        os.environ["PGAPPNAME"] = OWN_NAME  # of this process's connections from now on; those of `ours.env` have none
        ours.stub.change(max_send_rate=options.rate)  # what the account is told each minute
        figures, series = soak(ours, folder, options)
    write_report(folder, figures, series)
    if not figures["flat"]:
        sys.exit(1)


def soak(ours: Installation, folder: Path, options: argparse.Namespace) -> tuple[dict[str, object], list[Series]]:
    """Run everything for the time and return what was done and measured."""
    from delivery.models import AccountPace
    from delivery.services.compiling import compile_and_store
    from subscribers.models import List
    from tests.benchmarks.audience import make_account, make_organization, make_people
    from tests.soak.loads import Loads, wait_until_told

    organization = make_organization()
    account = make_account(organization, calls_in_flight=8)
    AccountPace.objects.filter(account=account).update(max_rate=options.rate)
    people = make_people(organization, options.rate * CAMPAIGN_SECONDS)
    imported = List.objects.create(organization=organization, name="Imported")
    compiled = compile_and_store(organization=organization, source=newsletter.newsletter())
    loads = Loads(ours.database, organization, account)
    with ExitStack() as stack:
        workers = stack.enter_context(ours.workers(folder / "celery.log", seconds=0))
        web, port = start_web(ours.env)
        stack.callback(end, [web])
        roots = dict(zip(("send", "work", "scheduler", "web"), [one.pid for one in (*workers, web)], strict=True))
        sampler = Sampler(ours.database, ours.broker, roots)
        stack.callback(sampler.close)
        with loads.running(
            lambda: loads.send_campaigns(people, compiled),
            lambda: loads.import_people(imported, options.rows, folder),
            lambda: loads.read(port, options.reads),
        ):
            sample_for(options, sampler, loads)
        was_told = wait_until_told(TOLD_WITHIN_SECONDS)
    series = sampler.series()
    growing = [f"{one.name}, {one.kind}" for one in series if not one.is_flat]
    missed = loads.done["wrong_answers"] + loads.done["unanswered_requests"]
    return {
        "minutes": options.minutes,
        "samples": len(sampler.times),
        **{
            name: loads.done[name] for name in ("campaigns", "emails", "events", "imports", "imported_rows", "requests")
        },
        "wrong_answers": missed,
        "inbox_emptied": was_told,
        "growing": growing,
        "flat": not growing and was_told and not missed,
    }, series


def sample_for(options: argparse.Namespace, sampler: Sampler, loads: Any) -> None:
    """Take a sample every so often until the time is up; say once a minute how it goes."""
    started = time.monotonic()
    said = 0.0
    while (at := time.monotonic() - started) < options.minutes * 60:
        loads.check()
        sampler.take(at)
        if at - said >= SAY_EVERY_SECONDS:
            said = at
            say(f"{at / 60:5.1f} min: " + ", ".join(f"{count:,} {name}" for name, count in sorted(loads.done.items())))
        time.sleep(max(0.0, options.every - (time.monotonic() - started - at)))


def write_report(folder: Path, figures: dict[str, object], series: list[Series]) -> None:
    say()
    for line in table(series):
        say(line)
    (folder / "soak.svg").write_text(picture(series), encoding="utf-8")
    samples = [{"name": one.name, "kind": one.kind, "times": one.times, "values": one.values} for one in series]
    (folder / "soak.json").write_bytes(orjson.dumps(samples))
    say(f"The first {WARM_UP_SHARE:.0%} are warm-up. Picture and samples: {folder}")
    last_line(figures)


if __name__ == "__main__":
    main()
