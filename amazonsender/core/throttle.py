"""Throttles of public endpoints, and whose request it is behind proxies."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, TypeAlias

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django_ratelimit import ALL
from django_ratelimit.core import get_usage

logger = structlog.get_logger(__name__)

P = ParamSpec("P")
View: TypeAlias = Callable[Concatenate[HttpRequest, P], HttpResponse]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

FORWARDED_FOR: Final = re.compile(r'(?:^|[;,])\s*for="?([^";,]+)"?', re.IGNORECASE)  # RFC 7239, section 4
KEPT_BITS: Final = {4: 24, 6: 48}  # of an address that we store: the network, not the person
THROTTLED_BITS: Final = {4: 32, 6: 64}  # one subscriber line owns a /64


def client_address(request: HttpRequest) -> Address | None:
    """Return whose request it is: the last address that TRUSTED_PROXIES proxies vouch for.

    Each proxy appends the address it was called from, so the client stands that many places from the end; whatever
    stands before it was written by the client. Where TRUSTED_PROXY_NETWORKS are set, only a caller from one of them is
    taken for a proxy. None where the server doesn't know, as on a Unix socket.
    """
    caller = _parsed(str(request.META.get("REMOTE_ADDR", "")))
    proxies = settings.TRUSTED_PROXIES
    if not proxies or not _is_proxy(caller):
        return caller
    hops = _hops(request)
    return (_parsed(hops[-proxies]) if len(hops) >= proxies else None) or caller


def _is_proxy(caller: Address | None) -> bool:
    networks = settings.TRUSTED_PROXY_NETWORKS
    return not networks or (caller is not None and any(caller in ipaddress.ip_network(one) for one in networks))


def _hops(request: HttpRequest) -> list[str]:
    """Addresses that proxies wrote down, the nearest last: in X-Forwarded-For or, by choice, RFC 7239's.

    Never in both: a client could write the one that its proxy doesn't.
    """
    if settings.PROXY_HEADER == "forwarded":
        return FORWARDED_FOR.findall(request.META.get("HTTP_FORWARDED", ""))
    return [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]


def truncated_address(request: HttpRequest) -> str:
    """Return the client's network as text, fit to be kept: 203.0.113.0 or 2001:db8:1::."""
    return _network(client_address(request), KEPT_BITS)


def truncated_text(address: str) -> str:
    """The same for an address that somebody gives as text; "" for what is none."""
    return _network(_parsed(address), KEPT_BITS)


def throttled(group: str, *, rate: str, method: str | None = None) -> Callable[[View[P]], View[P]]:
    """Answer 429 to a client that asks more often than `rate`, such as "60/m".

    Fails open: when the cache is down, a reader must still be able to unsubscribe.
    """

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def checked(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            wait = seconds_to_wait(request, group=group, rate=rate, method=method)
            return view(request, *args, **kwargs) if wait is None else too_many_requests(wait)

        return checked

    return decorate


def too_many_requests(wait: int) -> HttpResponse:
    """Answer 429 and say when to come back."""
    body = "Too many requests. Try again in a minute.\n"
    return HttpResponse(body, status=429, content_type="text/plain", headers={"Retry-After": str(wait)})


def seconds_to_wait(request: HttpRequest, *, group: str, rate: str, method: str | None = None) -> int | None:
    """Count this request; return how long its client has to wait, or None when it may pass."""
    try:
        usage: dict[str, Any] | None = get_usage(
            request, group=group, key=_throttle_key, rate=rate, method=method or ALL, increment=True
        )
    except Exception as error:  # noqa: BLE001 - each cache client raises its own
        logger.warning("throttle.cache_unreachable", group=group, error=type(error).__name__)
        return None
    if not usage or not usage["should_limit"]:
        return None
    return max(1, int(usage["time_left"]))


def _throttle_key(group: str, request: HttpRequest) -> str:
    return _network(client_address(request), THROTTLED_BITS)


def _parsed(text: str) -> Address | None:
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:  # IPv4 with a port
        host = host.partition(":")[0]
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def _network(address: Address | None, bits: dict[int, int]) -> str:
    if address is None:
        return ""
    return str(ipaddress.ip_network(f"{address}/{bits[address.version]}", strict=False).network_address)
