"""What was measured of each contender, and the tables for docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class Witness(Protocol):
    """Counts what was accepted, apart from who sent it."""

    def stats(self) -> dict[str, Any]: ...

    def reset(self) -> None: ...


@dataclass(frozen=True)
class Speed:
    """A run that nobody disturbed. Rate from the first to the last email accepted; CPU of everything that it took."""

    title: str
    emails: int
    emails_per_second: float
    python_us: float
    postgres_us: float
    bytes_per_email: float

    @property
    def cpu_us(self) -> float:
        return self.python_us + self.postgres_us


@dataclass(frozen=True)
class Killed:
    """A run that was killed in the middle and started again.

    repeated, never: people who got the email more than once, and not at all, by the provider's record. reported: who
    of them the contender's own record names as without an answer.
    """

    title: str
    people: int
    accepted_before: int
    restart: str
    repeated: int
    never: int
    reported: int


def emails_per_second(stats: dict[str, Any]) -> float:
    """Rate between the first and the last accepted call, from the witness's record."""
    return float(stats["recipients"] / max(stats["last_at"] - stats["first_at"], 0.01))


def count_repeated(stats: dict[str, Any]) -> int:
    """Emails beyond the first that a person got."""
    repeated: int = stats["recipients"] - stats["people"]
    return repeated


def speed_table(ours: Speed, rivals: Sequence[Speed]) -> str:
    """Markdown: one row each, ours first."""
    rows = [
        f"| {one.title} | {one.emails:,} | {one.emails_per_second:,.0f} | {one.python_us:,.1f} | {one.postgres_us:,.1f} "
        f"| {one.bytes_per_email:,.0f} | {one.cpu_us / ours.cpu_us:,.1f} × | {ours.emails_per_second / one.emails_per_second:,.1f} × |"
        for one in (ours, *rivals)
    ]
    return "\n".join(
        [
            "| | emails | emails/s | Python, µs an email | PostgreSQL, µs an email | bytes an email | CPU against ours | we are faster by |",
            "|---|--:|--:|--:|--:|--:|--:|--:|",
            *rows,
        ]
    )


def killed_table(runs: Sequence[Killed]) -> str:
    """Markdown: one row each."""
    rows = [
        f"| {one.title} | {one.people:,} | {one.accepted_before:,} | {one.restart} | {one.repeated:,} | {one.never:,} "
        f"| {one.reported:,} |"
        for one in runs
    ]
    return "\n".join(
        [
            "| killed in the middle | people | accepted before | started again by | emails too many | people without | shown as unanswered |",
            "|---|--:|--:|---|--:|--:|--:|",
            *rows,
        ]
    )
