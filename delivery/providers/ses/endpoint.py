"""Where a region's service answers, and one checked form of a custom address."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from delivery.providers.base import PermanentError

REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d{1,2}")


class Endpoint(NamedTuple):
    """An HTTP address in the parts that requests need. `host_header` carries a port that is not the scheme's own."""

    use_tls: bool
    host: str
    port: int
    host_header: str
    path: str


def check_region(region: str) -> None:
    """Raise PermanentError unless it looks like a region: it becomes part of a host name."""
    if not REGION.fullmatch(region):
        raise PermanentError(f"{region!r} is not the name of an AWS region, such as eu-central-1")


def ses_url(region: str) -> str:
    """Address of SES in a region."""
    check_region(region)
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://email.{region}.{suffix}"


def parse_endpoint(url: str) -> Endpoint:
    """Take an http or https address apart. Raises PermanentError for anything else."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise PermanentError(f"{url!r} is not an address: {error}") from error
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or parts.username:
        raise PermanentError(f"{url!r} is not a plain http:// or https:// address")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise PermanentError(f"{url!r}: an address is printable ASCII")
    use_tls = parts.scheme == "https"
    own_port = 443 if use_tls else 80
    header = f"[{host}]" if ":" in host else host
    if port not in (None, own_port):
        header = f"{header}:{port}"
    return Endpoint(use_tls, host, port or own_port, header, parts.path.rstrip("/"))
