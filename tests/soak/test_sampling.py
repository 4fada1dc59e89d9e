from __future__ import annotations

import pytest

from tests.soak.sampling import Key, dead_share, series_of

SEND: Key = ("send", "memory MB")
CHILD: Key = ("send, child 1", "memory MB")
PASSING: Key = ("send, child 2", "memory MB")


def test_a_process_that_began_after_the_first_sample_is_measured_and_one_that_passed_is_not() -> None:
    samples: list[dict[Key, float]] = [
        {SEND: 9},
        {SEND: 9, CHILD: 5, PASSING: 7},
        {SEND: 8, CHILD: 6},
        {SEND: 8, CHILD: 6},
    ]

    found = {one.name: (one.times, one.values) for one in series_of([0, 10, 20, 30], samples)}

    assert found == {"send": ([0, 10, 20, 30], [9, 9, 8, 8]), "send, child 1": ([10, 20, 30], [5, 6, 6])}


@pytest.mark.parametrize(
    ("live", "dead", "share"), [(8, 700, 0.0), (0, 0, 0.0), (3000, 2000, 0.25), (1_000_000, 1_001_000, 0.5)]
)
def test_dead_rows_that_no_vacuum_is_due_for_are_no_bloat(live: int, dead: int, share: float) -> None:
    assert dead_share(live, dead) == share
