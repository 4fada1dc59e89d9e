"""Kill it, and count: real processes on real services are attacked at random moments, round after round.

    make test-crash                      3 rounds
    make test-crash ROUNDS=50 SEED=7     rounds of the seeds 7 to 56
    make test-crash SEED=23 ROUNDS=1     the round of seed 23 again

The last line is a JSON object. Exit code 1: a rule was broken; seed and timeline are printed, the logs are kept.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import orjson

from tests.crash.installation import Installation
from tests.crash.plan import WEIGHTS, make_plan

if TYPE_CHECKING:
    from tests.crash.rounds import Round

SCALE = 7.5  # a lease of 4 s instead of 30, and so on
SUMS = ("duplicates", "lost", "wrongly_mailed", "unknown_left", "unknown_unaccepted", "armed_at_kills")


def say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    options = _options()
    seeds = options.seeds or list(range(options.seed, options.seed + options.rounds))
    signal.signal(signal.SIGTERM, _end_like_an_interrupt)
    folder = Path(tempfile.mkdtemp(prefix="amazonsender-crash-"))
    folder.chmod(0o755)
    rounds: list[Round] = []
    try:
        with Installation(folder, scale=1.0 if options.unscaled else SCALE) as installation:
            _set_up_django(installation.scale)
            installation.start_everything()
            for seed in seeds:
                rounds.append(_play(installation, seed, options, folder))
                if not rounds[-1].has_passed and not options.keep_going:
                    break
    except KeyboardInterrupt:
        say("Interrupted.")
        return 130
    finally:
        kept = folder / "failed"
        if kept.exists():
            for path in folder.iterdir():
                if path != kept:
                    shutil.rmtree(path, ignore_errors=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    failed = [one for one in rounds if not one.has_passed]
    say(
        orjson.dumps(
            _sum_up(rounds, seeds[0]) | ({"failed_seeds": [one.plan.seed for one in failed]} if failed else {})
        ).decode()
    )
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.crash", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("ROUNDS") or 3))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or time.time()))
    parser.add_argument("--seeds", type=_numbers, default=[], help="these rounds instead, as 6,8,17")
    parser.add_argument("--people", type=int, default=0, help="people a round, instead of the seed's choice")
    parser.add_argument(
        "--only", action="append", default=[], choices=sorted(WEIGHTS), help="attack with this; may be repeated"
    )
    parser.add_argument("--unscaled", action="store_true", help="with the engine's real leases and limits")
    parser.add_argument("--keep-going", action="store_true", help="play the other rounds after one that failed")
    parser.add_argument("--follow", action="store_true", help="print what happens while it does")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _end_like_an_interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _set_up_django(scale: float) -> None:
    os.environ["LOG_LEVEL"] = "ERROR"  # of this process: what it does stands in the timeline
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0, skip_checks=True)
    from tests.crash.rounds import hurry_housekeeping

    hurry_housekeeping(scale)


def _play(installation: Installation, seed: int, options: argparse.Namespace, folder: Path) -> Round:
    from tests.crash.rounds import keep_logs, mark_logs, run_round

    marks = mark_logs(installation)
    played = run_round(installation, make_plan(seed, people=options.people, only=options.only), follow=options.follow)
    verdict = played.verdict
    say(
        f"seed {seed}: {'passed' if played.has_passed else 'FAILED'}, {verdict.people} messages, {played.seconds:.1f} s, finished"
        f" {played.finish_seconds:.1f} s after the last attack, {verdict.unknown_unaccepted} unknown; "
        + ", ".join(strike.kind for strike in played.plan.strikes)
    )
    if not played.has_passed:
        kept = folder / "failed" / str(seed)
        keep_logs(installation, marks, kept, played.timeline)
        say("\n".join(played.timeline.lines))
        say("\n".join(verdict.reasons))
        say(f"Logs: {kept}\nAgain: make test-crash ROUNDS=1 SEED={seed}")
    return played


def _sum_up(rounds: list[Round], seed: int) -> dict[str, object]:
    sums: dict[str, object] = {name: sum(getattr(one.verdict, name) for one in rounds) for name in SUMS}
    slowest = max((one.finish_seconds for one in rounds), default=0.0)
    return (
        {"rounds": len(rounds)}
        | sums
        | {
            "seed": seed,
            "people": sum(one.verdict.people for one in rounds),
            "seconds": round(sum(one.seconds for one in rounds), 1),
            "slowest_finish_seconds": round(slowest, 1),
        }
    )


if __name__ == "__main__":
    sys.exit(main())
