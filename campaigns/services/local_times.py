"""Turning a day and an hour on somebody's wall into a moment, also where clocks are changed."""

from __future__ import annotations

import datetime
import zoneinfo
from dataclasses import dataclass

from django.utils.formats import date_format
from django.utils.translation import gettext as _


@dataclass(frozen=True)
class LocalMoment:
    """A moment, and what has to be said about it when the clock change made it another than asked for."""

    at: datetime.datetime
    note: str = ""


def resolve_local(day: datetime.date, time: datetime.time, zone: zoneinfo.ZoneInfo) -> LocalMoment:
    """Find the moment at which the clocks of the zone show this day and time.

    An hour that is skipped moves forward by what is skipped; of an hour that comes twice the first is meant.
    """
    wall = datetime.datetime.combine(day, time.replace(second=0, microsecond=0))
    first = wall.replace(tzinfo=zone, fold=0).astimezone(datetime.UTC)
    second = wall.replace(tzinfo=zone, fold=1).astimezone(datetime.UTC)
    shown = first.astimezone(zone)
    if shown.replace(tzinfo=None) != wall:
        said = {
            "time": wall.strftime("%H:%M"),
            "day": date_format(day, _("j F")),
            "real": shown.strftime("%H:%M"),
        }
        return LocalMoment(first, _("%(time)s does not exist on %(day)s; it will be %(real)s.") % said)
    if first != second:
        said = {"time": wall.strftime("%H:%M"), "day": date_format(day, _("j F"))}
        return LocalMoment(first, _("%(time)s comes twice on %(day)s; the first is meant.") % said)
    return LocalMoment(first)


def wall_time(at: datetime.datetime, zone: zoneinfo.ZoneInfo) -> datetime.datetime:
    """What the clocks of the zone show at a moment, without a zone."""
    return at.astimezone(zone).replace(tzinfo=None)
