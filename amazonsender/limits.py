"""How often each address may ask, route by route: one table, which docs/security.md shows.

Amazon's events, readers' clicks and one-click requests come by the thousand from a few addresses, so that what is valid
is never counted there: only what was refused. To guess or to flood is slowed down, and what goes well costs no look at
the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from django.http import HttpRequest, HttpResponse

from amazonsender.core.throttle import seconds_to_wait, too_many_requests


class Counted(StrEnum):
    """What counts towards a limit."""

    ALL = "every request"
    REFUSED = "refused requests only"
    OWN = "counted by the view"


@dataclass(frozen=True, slots=True)
class Limit:
    """One line of the table: routes that begin with `prefix`, the longest one that fits."""

    prefix: str
    group: str
    rate: str
    counted: Counted
    why: str


LIMITS: Final = (
    Limit("admin/", "admin", "1200/m", Counted.ALL, "A team behind one address, each with several tabs."),
    Limit("admin/login/", "login", "20/m", Counted.OWN, "Guessing passwords: every attempt counts."),
    Limit("admin/account/<int:pk>/check/", "account_checks", "60/m", Counted.ALL, "Each asks Amazon and DNS."),
    Limit("admin/account/<int:pk>/domains/<str:name>/check/", "account_checks", "60/m", Counted.ALL, "Likewise."),
    Limit("admin/account/<int:pk>/set-up/", "account_checks", "60/m", Counted.ALL, "Likewise."),
    Limit("sign-in/", "sign_in_link", "20/m", Counted.OWN, "Guessing links."),
    Limit("password/", "password", "20/m", Counted.OWN, "Guessing links; a mailbox gets 3 letters an hour at most."),
    Limit("invitation/", "invitation", "20/m", Counted.OWN, "Guessing links."),
    Limit("api/", "api", "API_REQUESTS_PER_MINUTE", Counted.OWN, "By key, not by address; wrong keys 30/m by address."),
    Limit("^webhooks/", "webhooks_refused", "600/m", Counted.REFUSED, "Forgeries. Believed events are never counted."),
    Limit("^o/", "reader_refused", "600/m", Counted.REFUSED, "Pixels are fetched by mail providers' proxies."),
    Limit("^c/", "wrong_tokens", "60/m", Counted.OWN, "Links that are not ours; those that are never count."),
    Limit("u/", "wrong_tokens", "60/m", Counted.OWN, "Likewise: one-click requests come from mail providers."),
    Limit("p/", "wrong_tokens", "60/m", Counted.OWN, "Likewise."),
    Limit("v/", "web_view", "1200/m", Counted.OWN, "Built anew each time; gateways look into each email."),
)
ROOT: Final = Limit("", "pages", "600/m", Counted.ALL, "The address without a path.")
NOWHERE: Final = Limit("(no route)", "nowhere", "120/m", Counted.REFUSED, "Scanners.")
REFUSALS: Final = frozenset({400, 401, 403, 404, 405, 413, 415})


def limit_of(route: str) -> Limit | None:
    """The limit of a route's pattern; None for one that nobody has thought about."""
    if not route:
        return ROOT
    fitting = [limit for limit in LIMITS if route.startswith(limit.prefix)]
    return max(fitting, key=lambda limit: len(limit.prefix), default=None)


class LimitMiddleware:
    """Keeps to the table. Fails open: without a cache a reader must still be able to unsubscribe."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code not in REFUSALS:
            return response
        match = request.resolver_match
        limit = limit_of(match.route) if match else NOWHERE
        if limit is None or limit.counted is not Counted.REFUSED:
            return response
        wait = seconds_to_wait(request, group=limit.group, rate=limit.rate)
        return response if wait is None else too_many_requests(wait)

    def process_view(self, request: HttpRequest, *_view: Any) -> HttpResponse | None:
        """Count before the view where every request counts."""
        match = request.resolver_match
        limit = limit_of(match.route) if match else None
        if limit is None or limit.counted is not Counted.ALL:
            return None
        wait = seconds_to_wait(request, group=limit.group, rate=limit.rate)
        return None if wait is None else too_many_requests(wait)
