"""Pixel, click redirect and web view.

The first two are not throttled: mail providers' proxies ask for thousands of readers from a few addresses.
"""

from __future__ import annotations

from base64 import b64decode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone, translation
from django.views.decorators.http import require_safe

from amazonsender.core.throttle import throttled, truncated_address
from delivery.compiling.linking import decode_remainder
from delivery.event_tasks import wake_processor
from delivery.selectors.readers import find_target
from delivery.services.tracking import record_click, record_open
from delivery.services.web_view import render_web_view
from delivery.tokens import is_remainder_signed, read_track_token
from delivery.views.pages import invalid_link, private

PIXEL = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")

# The email is somebody else's HTML: no script runs in it, and it has no origin.
WEB_VIEW_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src http: https: data:; "
    "style-src 'unsafe-inline'; font-src https: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def _agent(request: HttpRequest) -> str:
    return str(request.META.get("HTTP_USER_AGENT", ""))


@require_safe
def open_pixel(request: HttpRequest, track: str) -> HttpResponse:
    """A transparent picture, the same for every token."""
    token = read_track_token(track)
    if (
        token is not None
        and request.method == "GET"
        and record_open(token=token, at=timezone.now(), ip=truncated_address(request), user_agent=_agent(request))
    ):
        wake_processor()
    return private(HttpResponse(PIXEL, content_type="image/gif"))


@require_safe
def follow_link(request: HttpRequest, track: str, number: str, signed: str | None = None) -> HttpResponse:
    """Redirect to an address stored with the email, and to no other. Counting never stands in the way."""
    token, link_no = read_track_token(track), int(number)
    remainder = _remainder(track, link_no, signed) if signed else None
    if token is None or (signed and remainder is None):
        return invalid_link(request)
    target = find_target(token, link_no, remainder)
    if target is None or not target.startswith(("https://", "http://")):
        return invalid_link(request)
    if request.method == "GET" and record_click(
        token=token,
        link_no=link_no,
        at=timezone.now(),
        ip=truncated_address(request),
        user_agent=_agent(request),
    ):
        wake_processor()
    return private(HttpResponseRedirect(target))


def _remainder(track: str, link_no: int, signed: str) -> str | None:
    """The variable part of a click's address, if one of our keys signed it for this message and link."""
    encoded, _, mac = signed.rpartition(".")
    remainder = decode_remainder(encoded)
    if remainder is None or not is_remainder_signed(track, link_no, remainder, mac):
        return None
    return remainder


@require_safe
@throttled("web_view", rate="1200/m")
def show_email(request: HttpRequest, track: str) -> HttpResponse:
    """The email in the browser."""
    token = read_track_token(track)
    view = render_web_view(token) if token is not None else None
    if view is None:
        return invalid_link(request)
    response = HttpResponse(view.html)
    response["Content-Security-Policy"] = WEB_VIEW_POLICY
    response["Content-Language"] = view.locale or translation.get_language() or "en"
    return private(response)
