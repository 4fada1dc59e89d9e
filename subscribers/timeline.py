"""What happened with a person, told by whoever knows: apps above this one add their own events."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from subscribers.models import Subscriber

Tone = Literal["ok", "warn", "stop", "edit", "machine", "plain"]
Kind = Literal["email", "consent", "change"]


@dataclass(frozen=True, order=True)
class TimelineEvent:
    """One line. `kind` is what the chips above the timeline filter by."""

    at: datetime.datetime
    what: str = field(compare=False)
    detail: str = field(default="", compare=False)
    tone: Tone = field(default="plain", compare=False)
    kind: Kind = field(default="change", compare=False)
    link: str = field(default="", compare=False)


Provider = Callable[[Subscriber, int], Iterable[TimelineEvent]]
_PROVIDERS: Final[list[Provider]] = []


def register_provider(provider: Provider) -> Provider:
    """Add a source of events: called with the person and how many of the newest are wanted."""
    if provider not in _PROVIDERS:
        _PROVIDERS.append(provider)
    return provider


def person_timeline(subscriber: Subscriber, limit: int = 100) -> list[TimelineEvent]:
    """Return the newest events of all sources, newest first."""
    events = [event for provider in _PROVIDERS for event in provider(subscriber, limit)]
    return sorted(events, reverse=True)[:limit]


@dataclass(frozen=True)
class Figure:
    """One of the few big numbers above the timeline."""

    label: str
    value: int | str


FigureProvider = Callable[[Subscriber], Iterable[Figure]]
_FIGURES: Final[list[FigureProvider]] = []


def register_figures(provider: FigureProvider) -> FigureProvider:
    """Add big numbers to a person's page."""
    if provider not in _FIGURES:
        _FIGURES.append(provider)
    return provider


def person_figures(subscriber: Subscriber) -> list[Figure]:
    """Return the big numbers of all sources."""
    return [figure for provider in _FIGURES for figure in provider(subscriber)]
