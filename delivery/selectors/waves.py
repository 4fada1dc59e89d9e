"""When people are due whose own clocks decide, and how many at a time."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from amazonsender.core.time_zones import find_zone
from delivery.selectors.audience import Audience, eligible_by_time_zone
from organizations.models import Organization


@dataclass(frozen=True, slots=True)
class Wave:
    """People who are due at one moment. zones: their time zones, the one of most people first; never empty."""

    at: datetime
    people: int
    zones: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Waves:
    """waves: in order of time. without_zone: how many of them have no (known) time zone and go with the organization."""

    waves: tuple[Wave, ...] = ()
    without_zone: int = 0


def list_waves(*, organization: Organization, audience: Audience, local_time: datetime) -> Waves:
    """When an audience would get an email at a wall-clock time (naive) of their own: as costly as counting it."""
    own = str(organization.zone)
    moments: dict[datetime, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    without = 0
    for zone, people in eligible_by_time_zone(organization=organization, audience=audience):
        is_known = find_zone(zone) is not None
        without += 0 if is_known else people
        moments[due_in_zone(local_time, zone, organization.zone)][zone if is_known else own] += people
    waves = tuple(
        Wave(at, sum(zones.values()), tuple(sorted(zones, key=lambda zone: (-zones[zone], zone))))
        for at, zones in sorted(moments.items())
    )
    return Waves(waves, without)


def due_in_zone(local_time: datetime, zone: str, fallback: ZoneInfo) -> datetime:
    """The instant of a wall-clock time: a skipped time moves on by the gap, a repeated one is the first."""
    # In a gap Python takes the offset before it: 02:30 becomes 03:30 of the new time, the same instant.
    return local_time.replace(tzinfo=find_zone(zone) or fallback, fold=0).astimezone(UTC)
