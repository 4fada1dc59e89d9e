"""Names: which are reserved for examples, and which stand above another."""

from __future__ import annotations

import ipaddress
from typing import Final

# Nobody can own these: RFC 2606, RFC 6761, RFC 6762, RFC 7686, RFC 8375, and ICANN's .internal.
RESERVED_ENDINGS: Final = (
    "test",
    "example",
    "invalid",
    "localhost",
    "local",
    "internal",
    "onion",
    "alt",
    "home.arpa",
    "example.com",
    "example.net",
    "example.org",
)
MOST_LABELS_ABOVE: Final = 8  # as DMARC's walk up the tree


def is_reserved(domain: str) -> bool:
    """Say whether a name is reserved for examples, tests or local use, so that DNS knows nothing of it."""
    name = domain.lower().rstrip(".")
    return any(name == ending or name.endswith(f".{ending}") for ending in RESERVED_ENDINGS)


def domains_above(domain: str) -> list[str]:
    """Return the domains above one, the nearest first, without the top-level one."""
    labels = domain.split(".")
    return [".".join(labels[start:]) for start in range(1, len(labels) - 1)][:MOST_LABELS_ABOVE]


def is_within(domain: str, other: str) -> bool:
    """Say whether a domain is another one or stands below it."""
    return domain == other or domain.endswith(f".{other}")


def is_address(host: str) -> bool:
    """Say whether a host is written as an IP address."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
