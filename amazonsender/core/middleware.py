"""One log event per request, without addresses or tokens: the route's pattern stands for the path."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse

logger = structlog.get_logger("http.access")


class RequestLogMiddleware:
    """Log method, route, status, milliseconds and the organization of every request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        response = self.get_response(request)
        match = request.resolver_match
        organization = getattr(request, "organization", None)
        logger.info(
            "http.request",
            method=request.method,
            route=match.route if match else "",
            status=response.status_code,
            ms=round((time.perf_counter() - started) * 1000, 1),
            organization=organization.pk if organization else None,
        )
        return response
