"""What readers' pages share: language, headers, the masked address, the page for links that don't work."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation

from amazonsender.core.languages import first_spoken
from amazonsender.core.throttle import seconds_to_wait, too_many_requests
from delivery.selectors.readers import Reader

NOBODY = Reader(None, None, None)
# Guessing tokens is hopeless; this keeps it cheap for us, too. Valid ones are never throttled: a mail provider's
# one-click requests for a million people come from a few addresses.
WRONG_TOKENS = "60/m"


def private(response: HttpResponse) -> HttpResponse:
    """Keep an answer out of caches, search engines and other sites' logs."""
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex, nofollow"
    return response


def mask_address(address: str) -> str:
    """m•••a@example.com: enough for the owner, too little for whoever got the link forwarded."""
    local, _, domain = address.rpartition("@")
    last = local[-1] if len(local) > 2 else ""
    return f"{local[:1]}•••{last}@{domain}"


def language_of(request: HttpRequest, reader: Reader) -> str:
    """The reader's choice on the page, else the person's language, else the organization's, else the browser's."""
    wanted = [request.GET.get("lang", "")]
    if reader.subscriber is not None:
        wanted.append(reader.subscriber.locale)
    if reader.organization is not None:
        wanted.append(reader.organization.locale)
    return first_spoken(*wanted) or translation.get_language() or settings.LANGUAGE_CODE


def render_page(
    request: HttpRequest, template: str, reader: Reader = NOBODY, *, status: int = 200, **context: Any
) -> HttpResponse:
    """Render a page in the reader's language."""
    language = language_of(request, reader)
    with translation.override(language):
        query = request.GET.copy()
        links = []
        for code, label in (("en", "EN"), ("ru", "RU")):
            query["lang"] = code
            links.append({"code": code, "label": label, "query": query.urlencode(), "is_current": code == language})
        query["lang"] = language
        address = mask_address(reader.subscriber.email) if reader.subscriber else ""
        values = {
            "organization": reader.organization,
            "address": address,
            "languages": links,
            "keep_query": query.urlencode() if request.GET else "",
            **context,
        }
        response = render(request, f"public/{template}.html", values, status=status)
    response["Content-Language"] = language
    return private(response)


def invalid_link(request: HttpRequest) -> HttpResponse:
    """The page for tokens that are not ours, cut off or too old: the same whatever is wrong with them."""
    wait = seconds_to_wait(request, group="wrong_tokens", rate=WRONG_TOKENS)
    if wait is not None:
        return private(too_many_requests(wait))
    return render_page(request, "invalid", status=404)
