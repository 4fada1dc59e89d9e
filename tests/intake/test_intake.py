"""A small round on every run of the tests; `make test-intake` sends in 100,000 events by each way."""

from __future__ import annotations

import pytest

from tests.intake.strikes import KINDS, SMALL, make_strikes
from tests.played import play

MUSTS = ("lost", "doubled", "miscounted", "dead", "refused")


@pytest.mark.processes
def test_no_event_is_lost_or_counted_twice_by_whichever_way_and_whatever_is_killed() -> None:
    account, _said = play("tests.intake", "--events", "1500", "--seed", "5")

    assert {name: account[name] for name in MUSTS} == dict.fromkeys(MUSTS, 0)
    assert account["events"] == 4500
    assert account["killed"] == dict.fromkeys(sorted(list(KINDS)[:SMALL]), 1)


def test_a_seed_kills_the_same_at_the_same_shares_and_the_large_round_everything() -> None:
    assert make_strikes("7", 100_000) == make_strikes("7", 100_000) != make_strikes("8", 100_000)
    assert {strike.kind for strike in make_strikes("7", 100_000)} == set(KINDS)
