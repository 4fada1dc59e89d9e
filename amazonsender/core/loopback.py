"""Telling addresses of this machine from others."""

from typing import Final
from urllib.parse import urlsplit

LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})
WILDCARD_HOSTS: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - recognised, not bound


def is_loopback(url: str) -> bool:
    """Tell whether ``url`` leads to this machine only."""
    return (urlsplit(url).hostname or "") in LOOPBACK_HOSTS


def probe_host(host: str) -> str:
    """Return the host under which a server that listens on ``host`` is reached from this machine."""
    return "127.0.0.1" if host in WILDCARD_HOSTS else host
