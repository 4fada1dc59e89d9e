"""How many requests a key may make, and the headers that say so."""

from __future__ import annotations

from typing import Any

import structlog
from django.conf import settings
from django.http import HttpRequest
from django_ratelimit.core import get_usage
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

logger = structlog.get_logger(__name__)


class KeyThrottle(BaseThrottle):
    """API_REQUESTS_PER_MINUTE for each key, counted in the cache. Fails open: a cache that is down stops nobody."""

    def __init__(self) -> None:
        self._seconds: float | None = None

    def allow_request(self, request: Request, view: APIView) -> bool:
        if request.auth is None:
            return True  # refused by the permission, and counted per address when it was a wrong key
        key = str(request.auth.pk)

        def by_key(_group: str, _request: HttpRequest) -> str:
            return key

        rate = f"{settings.API_REQUESTS_PER_MINUTE}/m"
        try:
            usage: dict[str, Any] | None = get_usage(
                request._request, group="api", key=by_key, rate=rate, increment=True
            )
        except Exception as error:  # noqa: BLE001 - each cache client raises its own
            logger.warning("throttle.cache_unreachable", group="api", error=type(error).__name__)
            return True
        if not usage:
            return True
        vars(request._request)["api_usage"] = usage
        self._seconds = float(usage["time_left"])
        return not usage["should_limit"]

    def wait(self) -> float | None:
        return self._seconds


def add_headers(request: Request, response: Response) -> None:
    """The draft's RateLimit fields, as far as the counter was reached."""
    usage = getattr(getattr(request, "_request", request), "api_usage", None)
    if usage:
        response["RateLimit-Limit"] = str(usage["limit"])
        response["RateLimit-Remaining"] = str(max(0, usage["limit"] - usage["count"]))
        response["RateLimit-Reset"] = str(max(0, int(usage["time_left"])))
