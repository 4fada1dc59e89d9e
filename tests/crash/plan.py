"""What a round will do, decided by its seed alone: the same seed attacks at the same moments with the same choices."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

# How often each attack is chosen, relative to the others. A long one counts less, for it takes the time of several.
WEIGHTS = {
    "kill the sender": 5,
    "kill a sending process": 4,
    "kill the worker": 2,
    "kill the web server": 2,
    "kill the scheduler": 2,
    "kill Local SES": 3,
    "freeze the sender beyond its lease": 4,
    "freeze the sender for a moment": 2,
    "freeze the worker": 1,
    "freeze Local SES": 2,
    "stop PostgreSQL at once": 3,
    "stop PostgreSQL quickly": 1,
    "kill a PostgreSQL session": 2,
    "cut sessions in mid-commit": 4,
    "stop PostgreSQL in mid-commit": 4,
    "flush the broker": 2,
    "kill the broker": 2,
    "restart the sender gracefully": 2,
    "a second scheduler": 1,
    "the sender's clock is apart": 2,
    "a second sender whose clock is apart": 1,
    "the scheduler's clock is apart": 2,
    "press send again": 2,
    "pause and resume": 3,
    "cancel": 1,
    "change the rate": 2,
    "bad weather at the provider": 4,
    "restore a backup": 1,
    "restore a snapshot of the server": 1,
    "start a copy beside the original": 1,
}
LONG = {
    "restore a backup",
    "restore a snapshot of the server",
    "start a copy beside the original",
}  # one of them a round is enough
# Machines whose clocks are apart are so from the beginning to the end of a round.
CLOCKS = {"the sender's clock is apart", "a second sender whose clock is apart", "the scheduler's clock is apart"}
ONCE = LONG | CLOCKS | {"cancel", "bad weather at the provider"}
PER_CALL = 50
CALLS_IN_FLIGHT = 8  # of both sending processes


@dataclass(frozen=True)
class Strike:
    """One attack: seconds after send was pressed, and the seed of its own choices."""

    at: float
    kind: str
    seed: str


@dataclass(frozen=True)
class Plan:
    """A round. rate: people per second that the provider allows; leavers: how many people leave while it is sent."""

    seed: int
    people: int
    mailouts: int
    rate: float
    latency_ms: float
    pilot_size: int  # 0: none
    leavers: int
    strikes: tuple[Strike, ...]

    def describe(self) -> str:
        return (
            f"seed {self.seed}: {self.people} people, {self.mailouts} mailouts, {self.rate:.0f}/s, {self.latency_ms:.0f} ms, "
            f"pilot {self.pilot_size}, {self.leavers} leave, {len(self.strikes)} attacks"
        )


def make_plan(seed: int, *, people: int = 0, only: Sequence[str] = ()) -> Plan:
    """The round of a seed. people: another number than the seed's; only: choose among these attacks."""
    dice = random.Random(seed)
    mailouts = dice.choice((1, 1, 2))
    count = people or dice.randrange(800, 1800)
    if dice.random() < 0.5:  # the rate is what limits, and few calls are out
        span = dice.uniform(4.0, 7.0)  # seconds that sending would take undisturbed
        rate, latency = round(count * mailouts / span), dice.choice((0, 20, 60, 150))
    else:  # the provider's latency is, and as many calls are armed as there may be
        rate, latency = 20_000, dice.randrange(100, 400)
        span = max(1.5, count * mailouts / PER_CALL / CALLS_IN_FLIGHT * latency / 1000)
    kinds = _choose(dice, dice.randrange(3, 7), only)
    moments = [0.0 if kind in CLOCKS else round(dice.uniform(0.1, span * 1.1), 3) for kind in kinds]
    strikes = tuple(Strike(at, kind, f"{seed}:{at}:{kind}") for at, kind in sorted(zip(moments, kinds, strict=True)))
    return Plan(
        seed=seed,
        people=count,
        mailouts=mailouts,
        rate=float(rate),
        latency_ms=float(latency),
        pilot_size=dice.choice((0, 0, 0, 300)),
        leavers=dice.randrange(20, 80),
        strikes=strikes,
    )


def _choose(dice: random.Random, count: int, only: Sequence[str]) -> list[str]:
    kinds = [kind for kind in WEIGHTS if not only or kind in only]
    weights = [WEIGHTS[kind] for kind in kinds]
    chosen: list[str] = []
    while len(chosen) < count:
        kind = dice.choices(kinds, weights)[0]
        is_enough = (kind in ONCE and kind in chosen) or (kind in LONG and LONG & set(chosen))
        if not is_enough:
            chosen.append(kind)
        elif only and set(chosen) >= set(kinds) and set(kinds) <= ONCE:
            break
    return chosen
