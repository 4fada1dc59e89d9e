"""Amazon's own figures of an account, read by django-ses' functions and kept for some minutes."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

import structlog
from django.core.cache import cache
from django.utils import timezone

from delivery.models import SendingAccount
from delivery.providers.base import ProviderError
from delivery.providers.ses.statistics import SendStatistics
from delivery.services.providers import statistics_for
from organizations.models import User
from organizations.selectors.operators import is_operator

logger = structlog.get_logger(__name__)

DAYS: Final = 14  # as far back as Amazon tells
KEPT_SECONDS: Final = 300
FAILURE_KEPT_SECONDS: Final = 30  # somebody is mending the keys meanwhile
COUNTED: Final = {
    "attempts": "DeliveryAttempts",
    "bounces": "Bounces",
    "complaints": "Complaints",
    "rejects": "Rejects",
}


@dataclass(frozen=True)
class Figures:
    """How many in a day, or in all."""

    attempts: int = 0
    bounces: int = 0
    complaints: int = 0
    rejects: int = 0


@dataclass(frozen=True)
class Statistics:
    """The last 14 days, today included, by the organization's calendar; or why there are none.

    max_24_hour_send: -1 when unlimited. error: the provider's words, "" when it answered.
    """

    asked_at: datetime.datetime
    days: tuple[tuple[datetime.date, Figures], ...] = ()
    total: Figures = Figures()
    max_24_hour_send: float = 0
    max_send_rate: float = 0
    sent_last_24_hours: float = 0
    error: str = ""


def may_see_statistics(account: SendingAccount, user: User) -> bool:
    """They are of the whole account at Amazon: where several organizations share it, only an operator's to see."""
    return account.provider == "ses" and is_operator(user)


def account_statistics(account: SendingAccount) -> Statistics:
    """Ask Amazon, or repeat what it said less than five minutes ago. Never raises for what the provider does."""
    key = f"ses-statistics:{account.pk}:{account.region}:{account.is_local}:{account.organization.time_zone}"
    known = _cached(key)
    if known is not None:
        return known
    try:
        statistics = _counted(statistics_for(account).read(), account.organization.zone)
    except ProviderError as error:
        logger.warning("delivery.statistics_failed", account=account.pk, error=str(error))
        statistics = Statistics(asked_at=timezone.now(), error=str(error))
    _keep(key, statistics, FAILURE_KEPT_SECONDS if statistics.error else KEPT_SECONDS)
    return statistics


def _counted(told: SendStatistics, zone: ZoneInfo) -> Statistics:
    # With boto3 and its views' templates: half a second that only this page pays.
    from django_ses.views import stats_to_list, sum_stats

    now = timezone.now()
    today = now.astimezone(zone).date()
    dates = [today - datetime.timedelta(days=ago) for ago in reversed(range(DAYS))]
    points: dict[datetime.date, list[dict[str, object]]] = {date: [] for date in dates}
    for point in stats_to_list(told.document, localize=False):
        points.get(point["Timestamp"].astimezone(zone).date(), []).append(point)
    days = tuple((date, _figures(sum_stats(found))) for date, found in points.items())
    return Statistics(
        asked_at=now,
        days=days,
        total=Figures(**{name: sum(getattr(figures, name) for _date, figures in days) for name in COUNTED}),
        max_24_hour_send=told.max_24_hour_send,
        max_send_rate=told.max_send_rate,
        sent_last_24_hours=told.sent_last_24_hours,
    )


def _figures(summed: dict[str, int]) -> Figures:
    return Figures(**{name: summed[theirs] for name, theirs in COUNTED.items()})


def _cached(key: str) -> Statistics | None:
    try:
        known = cache.get(key)
    except Exception as error:  # noqa: BLE001 - each cache client raises its own
        logger.warning("delivery.statistics_cache_unreachable", error=type(error).__name__)
        return None
    return known if isinstance(known, Statistics) else None


def _keep(key: str, statistics: Statistics, seconds: int) -> None:
    try:
        cache.set(key, statistics, seconds)
    except Exception as error:  # noqa: BLE001 - likewise
        logger.warning("delivery.statistics_cache_unreachable", error=type(error).__name__)
