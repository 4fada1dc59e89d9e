from __future__ import annotations

from collections.abc import Mapping

import pytest

from localses.config import Settings
from localses.fates import Fate, decide, simulator_name

PEOPLE = [f"person{number}@example.org" for number in range(4000)]


def fate(address: str, rates: Mapping[str, float] | None = None, *, seed: str = "seed") -> Fate:
    settings = Settings()
    settings.change(rates or {})
    return decide(address, settings=settings, seed=seed, suppressed=False)


def kinds(decided: Fate) -> list[str]:
    return [step.kind for step in decided.steps]


def test_without_rates_everything_is_delivered_and_nobody_reads() -> None:
    assert {tuple(kinds(fate(address))) for address in PEOPLE} == {("SEND", "DELIVERY")}


def test_the_same_address_and_seed_fare_the_same_whatever_the_case() -> None:
    rates = {"bounce_rate": 0.5, "open_rate": 0.5, "complaint_rate": 0.2}

    for address in PEOPLE[:200]:
        assert fate(address, rates) == fate(address.upper(), rates)
    assert [fate(a, rates) for a in PEOPLE] != [fate(a, rates, seed="other") for a in PEOPLE]


@pytest.mark.parametrize(
    ("rate", "outcome"),
    [
        ("bounce_rate", "bounced"),
        ("soft_bounce_rate", "soft_bounced"),
        ("complaint_rate", "complained"),
        ("delay_rate", "delayed"),
    ],
)
def test_rates_are_kept_over_many_addresses(rate: str, outcome: str) -> None:
    share = sum(fate(address, {rate: 0.1}).outcome == outcome for address in PEOPLE) / len(PEOPLE)

    assert share == pytest.approx(0.1, abs=0.02)


def test_readers_click_after_opening_and_a_bounced_address_never_reads() -> None:
    rates = {"bounce_rate": 0.2, "open_rate": 0.5, "click_rate": 0.2, "unsubscribe_rate": 0.1, "machine_rate": 0.3}
    fates = [fate(address, rates) for address in PEOPLE]

    for decided in fates:
        times = {step.kind: step.after for step in decided.steps}
        if decided.outcome == "bounced":
            assert set(times) == {"SEND", "BOUNCE"}
            assert decided.reader == ""
        else:
            assert all(after >= times["DELIVERY"] for kind, after in times.items() if kind.startswith("READ_"))
        if "READ_CLICK" in times:
            assert times["READ_CLICK"] >= times["READ_OPEN"]
    alive = [decided for decided in fates if decided.outcome != "bounced"]
    for kind, share in {"READ_OPEN": 0.5, "READ_CLICK": 0.2, "READ_PREFETCH": 0.15, "READ_SCAN": 0.15}.items():
        assert sum(kind in kinds(decided) for decided in alive) / len(alive) == pytest.approx(share, abs=0.03)


def test_everything_happens_within_the_spread() -> None:
    rates = {"open_rate": 1, "click_rate": 1, "unsubscribe_rate": 1, "complaint_rate": 1, "delay_rate": 1}

    for address in PEOPLE[:500]:
        assert all(0 <= step.after <= 2 * 1.5 for step in fate(address, {**rates, "spread_seconds": 2}).steps)
        assert all(step.after == 0 for step in fate(address, {**rates, "spread_seconds": 0}).steps)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("bounce@simulator.amazonses.com", "bounce"),
        ("Complaint+label-1@SIMULATOR.amazonses.com", "complaint"),
        ("unknown@simulator.amazonses.com", None),
        ("bounce@example.com", None),
    ],
)
def test_simulator_addresses_are_known_with_and_without_label(address: str, name: str | None) -> None:
    assert simulator_name(address) == name


@pytest.mark.parametrize(
    ("mailbox", "outcome", "steps"),
    [
        ("success", "delivered", [("SEND", None), ("DELIVERY", None)]),
        ("bounce", "bounced", [("SEND", None), ("BOUNCE", "Permanent/General")]),
        ("ooto", "soft_bounced", [("SEND", None), ("DELIVERY", None), ("BOUNCE", "Transient/General")]),
        ("complaint", "complained", [("SEND", None), ("DELIVERY", None), ("COMPLAINT", "abuse")]),
        ("suppressionlist", "suppressed", [("SEND", None), ("BOUNCE", "Permanent/Suppressed")]),
    ],
)
def test_simulator_mailboxes_behave_as_amazons(mailbox: str, outcome: str, steps: list[tuple[str, str | None]]) -> None:
    decided = fate(f"{mailbox}+x@simulator.amazonses.com", {"bounce_rate": 1, "open_rate": 1})

    assert (decided.outcome, [(step.kind, step.detail) for step in decided.steps]) == (outcome, steps)
