"""What apps above add to the shell around every page: a badge in the navigation, the line about the sender's health."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from organizations.models import Member


@dataclass(frozen=True)
class HealthNote:
    """The line at the foot of the sidebar."""

    tone: Literal["ok", "warn", "stop"]
    title: str
    detail: str
    link: str


BADGES: Final[dict[str, Callable[[Member], int]]] = {}
_health: list[Callable[[Member], HealthNote | None]] = []


def sidebar_badge(route: str) -> Callable[[Callable[[Member], int]], Callable[[Member], int]]:
    """Register a cheap count, shown beside the navigation's entry of the route when it isn't 0."""

    def register(count: Callable[[Member], int]) -> Callable[[Member], int]:
        BADGES[route] = count
        return count

    return register


def sidebar_health(note: Callable[[Member], HealthNote | None]) -> Callable[[Member], HealthNote | None]:
    """Register the line about the sender's health. It runs on every page, so one cheap query at most."""
    _health[:] = [note]
    return note


def current_health(member: Member) -> HealthNote | None:
    """Return the line to show, or None where nobody has one."""
    return _health[0](member) if _health else None
