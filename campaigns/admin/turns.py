"""The turns of the time zones, as the steps When and Review say them."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.utils import timezone
from django.utils.translation import ngettext

from campaigns.admin.wording import city_of, when_words
from campaigns.models import Campaign
from campaigns.services.launching import local_time_of
from campaigns.services.reviewing import audience_of
from delivery.selectors.waves import Wave, list_waves

SHOWN = 8
CITIES = 2


@dataclass(frozen=True)
class Turn:
    """People who get it at one moment: when that is here, and where they live."""

    when: str
    people: int
    where: str


@dataclass(frozen=True)
class Turns:
    """shown: the first turns that still come; more: turns besides those. at_once: people whose hour has passed."""

    shown: list[Turn]
    more: int
    at_once: int
    without_zone: int
    first_at: datetime.datetime
    last_at: datetime.datetime
    last_people: int

    @property
    def first_words(self) -> str:
        return when_words(self.first_at)

    @property
    def last_words(self) -> str:
        return when_words(self.last_at)


def turns_of(campaign: Campaign) -> Turns | None:
    """Who gets it when; None where the campaign goes by one clock, or to nobody."""
    if not campaign.is_by_local_time or campaign.scheduled_at is None:
        return None
    found = list_waves(
        organization=campaign.organization, audience=audience_of(campaign), local_time=local_time_of(campaign)
    )
    if not found.waves:
        return None
    now = timezone.now()
    coming = [wave for wave in found.waves if wave.at > now]
    last = found.waves[-1]
    return Turns(
        shown=[Turn(when_words(wave.at), wave.people, _where(wave)) for wave in coming[:SHOWN]],
        more=max(0, len(coming) - SHOWN),
        at_once=sum(wave.people for wave in found.waves if wave.at <= now),
        without_zone=found.without_zone,
        first_at=max(found.waves[0].at, now),
        last_at=max(last.at, now),
        last_people=last.people,
    )


def _where(wave: Wave) -> str:
    cities = ", ".join(city_of(zone) for zone in wave.zones[:CITIES])
    more = len(wave.zones) - CITIES
    if more <= 0:
        return cities
    return ngettext("%(cities)s and %(n)s more", "%(cities)s and %(n)s more", more) % {"cities": cities, "n": more}
