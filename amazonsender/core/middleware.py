"""One log event per request, without addresses or tokens: the route's pattern stands for the path."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable
from typing import Final

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.utils.translation import gettext as _

from amazonsender.core import figures, tracing
from amazonsender.core.api.problems import refuse
from amazonsender.core.express import EVENTS
from amazonsender.core.health import PATHS

logger = structlog.get_logger("http.access")
stdlib_logger = logging.getLogger("http.access")

PLAUSIBLE_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{8,64}")
QUIET_ROUTES: Final = frozenset({*PATHS, "/metrics", "static"})
PERMISSIONS_POLICY: Final = "camera=(), geolocation=(), microphone=(), payment=(), usb=(), browsing-topics=()"


class RequestLogMiddleware:
    """Log method, route, status, milliseconds and organization of every request, and give it an id.

    The id is on every event that is logged meanwhile and in the answer's X-Request-ID. A proxy's own is kept where
    proxies are trusted. Health probes, static files and events that were taken log at DEBUG: they come by the
    thousand, and a line of each would cost more than its signature's verification.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        request_id = _request_id(request)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        with tracing.span("http"):
            response = self.get_response(request)
            match = request.resolver_match
            attributes = {"http.response.status_code": response.status_code, "request_id": request_id}
            tracing.describe(f"{request.method} {match.route if match else ''}", attributes)
        response.headers["X-Request-ID"] = request_id
        response.headers.setdefault("Permissions-Policy", PERMISSIONS_POLICY)
        _log_access(request, response, ms=round((time.perf_counter() - started) * 1000, 1))
        structlog.contextvars.clear_contextvars()
        return response


class NulMiddleware:
    """Answer 400 to an address, a cookie or a form with a NUL in it: PostgreSQL has no text for it, so that any look-up
    or save would fail as ours. Files may have them.

    Nothing of ours makes such a request; scanners do.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if (
            "%00" in request.META.get("QUERY_STRING", "")
            or "\0" in request.path
            or any("\0" in value for value in request.COOKIES.values())
        ):
            sentence = "This address has a character that no page takes."
            return refuse(400, sentence) if request.path.startswith("/api/") else _refusal(sentence)
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_view: object) -> HttpResponse | None:
        """Look at the fields of a form. The check against forged requests reads them next in any case."""
        if request.method != "POST" or request.path.startswith("/api/"):
            return None  # endpoints read no forms, and want the body whole
        try:
            fields = request.POST.lists()
            has_nul = any("\0" in name or any("\0" in value for value in values) for name, values in fields)
        except UnreadablePostError:
            return None  # whoever sent it is gone
        if not has_nul:
            return None
        return _refusal(_("The form has a character in it that no text holds (NUL). Take it out and send again."))


def _refusal(sentence: str) -> HttpResponse:
    return HttpResponse(f"{sentence}\n", status=400, content_type="text/plain; charset=utf-8")


def _log_access(request: HttpRequest, response: HttpResponse, *, ms: float) -> None:
    match = request.resolver_match
    route = match.route if match else ""
    if request.path in QUIET_ROUTES:
        route = request.path
    elif not route and request.path.startswith(settings.STATIC_URL):
        route = "static"
    figures.observe_request(request.method or "", route, response.status_code, ms / 1000)
    is_taken_event = response.status_code < 400 and request.path.startswith(EVENTS)
    if is_taken_event and not stdlib_logger.isEnabledFor(logging.DEBUG):
        return
    is_quiet = is_taken_event or (response.status_code < 400 and route in QUIET_ROUTES)
    organization = getattr(request, "organization", None)
    log = logger.debug if is_quiet else logger.info
    log(
        "http.request",
        method=request.method,
        route=route,
        status=response.status_code,
        ms=ms,
        organization=organization.pk if organization else None,
    )


def _request_id(request: HttpRequest) -> str:
    given: str = request.META.get("HTTP_X_REQUEST_ID", "")
    if settings.TRUSTED_PROXIES and PLAUSIBLE_ID.fullmatch(given):
        return given
    return uuid.uuid4().hex
