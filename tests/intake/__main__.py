"""Send events in by SNS, SQS and Firehose while everything is killed, and account for each of them.

    python -m tests.intake                                100,000 by each way
    python -m tests.intake --events 1500 --seed 5
    make test-intake SEED=5

Each way brings the events of a mailout of its own, in any order, some of them twice, and one in twenty by the next way,
too. The last line is a JSON object. Exit code 1: an event was lost or counted twice; the logs are kept.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

import orjson

from amazonsender.core.processes import wait_for
from tests.crash.timeline import Timeline
from tests.intake.installation import IntakeInstallation

EVENTS = 100_000
OVERLAP = 20  # one event in so many comes by the next way, too
FINISH_SECONDS = 120.0
PATIENCE_SECONDS, PATIENCE_SECONDS_PER_EVENT = 240.0, 0.03


def say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, _end_like_an_interrupt)
    folder = Path(tempfile.mkdtemp(prefix="amazonsender-intake-"))
    folder.chmod(0o755)
    has_passed, account = False, ""
    try:
        with IntakeInstallation(folder) as installation:
            has_passed, account = _play(installation, options)
    except KeyboardInterrupt:
        say("Interrupted.")
        return 130
    finally:
        if has_passed:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            shutil.rmtree(folder / "data" / "postgres", ignore_errors=True)
            say(f"Logs: {folder / 'logs'}\nAgain: make test-intake SEED={options.seed}")
    say(account)
    return 0 if has_passed else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.intake", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=EVENTS, help="by each of the three ways (100,000)")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or time.time()))
    parser.add_argument("--follow", action="store_true", help="print what happens while it does")
    return parser.parse_args()


def _end_like_an_interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _play(installation: IntakeInstallation, options: argparse.Namespace) -> tuple[bool, str]:
    """Whether it passed, and the account as JSON."""
    os.environ["LOG_LEVEL"] = "ERROR"  # of this process: what it does stands in the timeline
    import django
    from django.core.management import call_command
    from django.db import connections

    django.setup()
    call_command("migrate", verbosity=0, skip_checks=True)
    from tests.intake.judging import judge
    from tests.intake.scene import WAYS, mailout_id_of, make_scene
    from tests.intake.senders import Firehose, Queue, SnsPush
    from tests.intake.stream import Expected, make_facts
    from tests.intake.strikes import Attacks, make_strikes

    timeline = Timeline(follow=options.follow)
    seed = str(options.seed)
    facts = {way: make_facts(mailout_id_of(way), options.events, seed) for way in WAYS}
    make_scene({way: max(fact.n for fact in facts[way]) for way in WAYS})
    connections.close_all()
    brought = {way: [*facts[way], *facts[WAYS[place - 1]][::OVERLAP]] for place, way in enumerate(WAYS)}
    kinds = {"sns": SnsPush, "queue": Queue, "firehose": Firehose}
    ways = {way: kinds[way](installation, brought[way], seed) for way in WAYS}
    attacks = Attacks(installation, ways, timeline, make_strikes(seed, options.events), random.Random(seed))
    installation.start_everything()
    timeline.note("everything runs")
    started = time.monotonic()
    for one in ways.values():
        one.start()
    patience = PATIENCE_SECONDS + PATIENCE_SECONDS_PER_EVENT * options.events
    while (not all(one.is_over for one in ways.values()) or attacks.strikes) and time.monotonic() < started + patience:
        attacks.run_due()
        time.sleep(0.05)
    timeline.note("everything is brought and killed")
    has_finished = wait_for(lambda: _is_finished(installation, attacks), seconds=FINISH_SECONDS, every=0.3)
    seconds = time.monotonic() - started
    verdict = judge({mailout_id_of(way): Expected(facts[way]) for way in WAYS})
    connections.close_all()
    refused = sum(one.tally.refused for one in ways.values())
    has_passed = has_finished and verdict.has_passed and not refused
    if not has_passed:
        say("\n".join([*timeline.lines, *verdict.reasons, *(one.tally.last_refusal for one in ways.values())]))
    account = {
        "events": options.events * len(WAYS),
        "ledger_events": verdict.events,
        "lost": verdict.lost,
        "doubled": verdict.doubled,
        "miscounted": verdict.miscounted,
        "dead": verdict.dead,
        "refused": refused,
        "has_finished": has_finished,
        "kills": attacks.done.total(),
        "killed": dict(sorted(attacks.done.items())),
        "requests": {way: one.tally.requests for way, one in ways.items()},
        "repeated": {way: one.tally.repeats for way, one in ways.items()},
        "seconds": round(seconds, 1),
        "seed": options.seed,
    }
    return has_passed, orjson.dumps(account).decode()


def _is_finished(installation: IntakeInstallation, attacks: object) -> bool:
    from tests.intake.strikes import Attacks

    assert isinstance(attacks, Attacks)
    attacks.start_due()
    return (
        installation.left_in_queue() == 0
        and installation.count("delivery_inbox") == 0
        and installation.count("delivery_mailout WHERE is_account_stale") == 0
    )


if __name__ == "__main__":
    sys.exit(main())
