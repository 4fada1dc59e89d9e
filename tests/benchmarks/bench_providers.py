"""Providers beside a bare loop of the library that they stand on: `make bench-providers` (N=20000).

The same newsletter, the same ready values, the same server on loopback, one thread and one connection each. A bare loop
does what the library's documentation shows and nothing else: no checks, no outcome per person, no sealing off of people
from each other beyond what it takes to send to them. Rounds alternate, and the best of each counts, because the machine
does other things, too. The last line is JSON.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from tests.benchmarks.harness import environment, last_line, say

ROUNDS = 3
SMTP_SHARE = 10  # SMTP takes so much longer that a tenth of the people will do


def main() -> None:
    """Print emails per second of each pair, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=int(os.environ.get("N", "20000")))
    people = max(parser.parse_args().people, 1000)
    os.environ.update(environment("postgresql://nobody@127.0.0.1:1/nothing", "redis://127.0.0.1:1/0"))
    os.environ["PUBLIC_URL"] = "https://mail.northwind.example"
    import django

    django.setup()
    from tests.benchmarks.provider_loops import pairs

    figures: dict[str, object] = {}
    say(f"{'':<28}{'bare loop/s':>14}{'provider/s':>14}{'ratio':>8}")
    with pairs() as found:
        for name, share, bare, ours in found:
            count = max(people // (SMTP_SHARE if share else 1), 1000)
            slow, fast = _alternate(bare, ours, count)
            say(f"{name:<28}{slow:>14,.0f}{fast:>14,.0f}{fast / slow:>8.2f}")
            key = name.split()[0]
            figures |= {
                f"{key}_bare_per_second": round(slow),
                f"{key}_per_second": round(fast),
                f"{key}_ratio": round(fast / slow, 2),
            }
    last_line(figures)


def _alternate(bare: Callable[[int], int], ours: Callable[[int], int], count: int) -> tuple[float, float]:
    best: dict[Any, float] = {bare: 0.0, ours: 0.0}
    order: Sequence[Callable[[int], int]] = (bare, ours)
    for _ in range(ROUNDS):
        for send in order:
            began = time.perf_counter()
            taken = send(count)
            if taken != count:
                raise SystemExit(f"{taken} of {count} were taken")
            best[send] = max(best[send], count / (time.perf_counter() - began))
        order = order[::-1]
    return best[bare], best[ours]


if __name__ == "__main__":
    main()
