"""Times, sizes and durations as people say them. The time zone is the organization's, set by the middleware."""

from __future__ import annotations

import datetime

from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from campaigns.models import Campaign


def number(value: float) -> str:
    """48213 → 48,213."""
    return number_format(value, use_l10n=True, force_grouping=True)


def when_words(at: datetime.datetime | None, now: datetime.datetime | None = None) -> str:
    """Today, tomorrow or the day, with the hour: "tomorrow, 09:00"."""
    if at is None:
        return ""
    local, today = timezone.localtime(at), timezone.localtime(now or timezone.now()).date()
    hour = local.strftime("%H:%M")
    days = (local.date() - today).days
    if days == 0:
        return _("today, %(time)s") % {"time": hour}
    if days == 1:
        return _("tomorrow, %(time)s") % {"time": hour}
    if days == -1:
        return _("yesterday, %(time)s") % {"time": hour}
    day = date_format(local, _("j M")) if local.year == today.year else date_format(local, _("j M Y"))
    return day if days < -1 else f"{date_format(local, 'D')} {day}, {hour}"


def planned_words(campaign: Campaign) -> str:
    """When a campaign is to reach people: "tomorrow, 09:00", perhaps "by each one’s clock"."""
    when = when_words(campaign.scheduled_at)
    return _("%(when)s by each one’s clock") % {"when": when} if when and campaign.is_by_local_time else when


def exact_words(at: datetime.datetime) -> str:
    """Day, hour and zone in full, for a sentence or a title."""
    local = timezone.localtime(at)
    return _("%(day)s, %(time)s in %(city)s") % {
        "day": date_format(local, _("l j F")),
        "time": local.strftime("%H:%M"),
        "city": city_of(timezone.get_current_timezone_name()),
    }


def city_of(zone: str) -> str:
    """Europe/Riga → Riga."""
    return zone.rsplit("/", 1)[-1].replace("_", " ")


def duration_words(seconds: float) -> str:
    """About how long, in the largest unit that is honest."""
    if seconds < 90:
        whole = max(1, round(seconds))
        return ngettext("%(n)s second", "%(n)s seconds", whole) % {"n": whole}
    minutes = round(seconds / 60)
    if minutes < 90:
        return ngettext("%(n)s minute", "%(n)s minutes", minutes) % {"n": minutes}
    hours = round(seconds / 3600)
    return ngettext("%(n)s hour", "%(n)s hours", hours) % {"n": number(hours)}


def pace_words(people_per_second: float) -> str:
    """A pace in the largest unit that shows it whole: 50 a second, 100 an hour."""
    per, amount = pace_parts(people_per_second)
    words = {"second": _("%(n)s a second"), "minute": _("%(n)s a minute"), "hour": _("%(n)s an hour")}
    return words[per] % {"n": number(amount)}


def pace_parts(people_per_second: float) -> tuple[str, int]:
    """The unit of a pace (second, minute or hour) and how many people in it, at least one."""
    for per, seconds in (("second", 1), ("minute", 60)):
        amount = people_per_second * seconds
        if amount >= 1 and abs(amount - round(amount)) < 1e-6:
            return per, round(amount)
    return "hour", max(1, round(people_per_second * 3600))


def kilobytes(size: int) -> str:
    """38 KB; at least one."""
    return _("%(n)s KB") % {"n": number(max(1, round(size / 1024)))}
