"""What Ctrl K finds: each app adds a search over its own rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from organizations.models import Member


@dataclass(frozen=True)
class Jump:
    """One row of the palette."""

    title: str
    description: str
    link: str
    icon: str


Finder = Callable[[Member, str], list[Jump]]
FINDERS: Final[list[Finder]] = []


def jump_finder(finder: Finder) -> Finder:
    """Register a search for the palette.

    It gets the member and the typed words in lower case, looks only into the member's organization and only by an
    indexed prefix, answers with a handful of rows, and checks the role itself.
    """
    FINDERS.append(finder)
    return finder


def find_jumps(member: Member, term: str) -> list[Jump]:
    """Return what every registered search finds."""
    return [jump for finder in FINDERS for jump in finder(member, term)]
