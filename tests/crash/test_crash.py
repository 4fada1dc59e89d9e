"""Three rounds on every run of the tests; `make test-crash ROUNDS=` plays more."""

from __future__ import annotations

import subprocess
import sys

import pytest

from amazonsender.embedded.home import PROJECT
from tests.crash.plan import WEIGHTS, make_plan
from tests.played import play

pytestmark = pytest.mark.processes

SEEDS = "23,32,114"  # PostgreSQL, processes, the broker: short ones
MUSTS = ("duplicates", "lost", "wrongly_mailed", "unknown_left")


def test_nobody_is_lost_or_mailed_twice_whatever_is_killed() -> None:
    account, said = play("tests.crash", "--seeds", SEEDS, "--people", "400", "--keep-going")

    assert account["rounds"] == 3, said
    assert {name: account[name] for name in MUSTS} == dict.fromkeys(MUSTS, 0)
    assert account["people"] >= 3 * 400


def test_a_seed_attacks_at_the_same_moments_with_the_same_choices() -> None:
    assert make_plan(23) == make_plan(23)
    assert make_plan(23) != make_plan(24)


def test_times_are_divided_once_whatever_was_imported_before() -> None:
    """In a process of its own: what is imported here already, and divided there, would stay so for all other tests."""
    program = (
        "import django; django.setup()\n"
        "from tests.crash.apps import SCALED, shorten\n"
        "import sys\n"
        "[sys.modules.pop(name, None) for name in SCALED]\n"
        "shorten(7.5)\n"
        "from delivery.engine import arming, claiming, settling\n"
        "print(claiming.LEASE_SECONDS, arming.LEASE_SECONDS, settling.LEASE_SECONDS)"
    )

    said = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)

    assert said.stdout.split() == ["4.0", "4.0", "4.0"]


def test_every_attack_comes_up() -> None:
    kinds = {strike.kind for seed in range(300) for strike in make_plan(seed).strikes}

    assert kinds == set(WEIGHTS)
