"""Tracked links at run time: how a click's address is written and what it leads to.

A constant link is `/c/<track>/<number>`. Where the target differs from person to person, its resolved remainder (what
follows scheme, host and the constant beginning) travels along: `/c/<track>/<number>/<base64url(remainder)>.<mac>`.
Scheme and host are constant always, so a click can lead nowhere else.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from delivery.compiling.escaping import LINK_CLOSE, LINK_OPEN, LINK_SPLIT

SignRemainder: TypeAlias = Callable[[str, int, str], str]
"""(track, link number, remainder) to a MAC of `[A-Za-z0-9_-]`."""

_MARKED = re.compile(f"{LINK_OPEN}([0-9]+){LINK_SPLIT}([^{LINK_CLOSE}]*){LINK_CLOSE}")
_REMAINDER = re.compile(r"[!-~]*")


def encode_remainder(remainder: str) -> str:
    """Write a remainder as base64url without padding."""
    return base64.urlsafe_b64encode(remainder.encode()).rstrip(b"=").decode()


def decode_remainder(encoded: str) -> str | None:
    """Read what `encode_remainder` wrote; None for anything else."""
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True).decode()
    except ValueError:
        return None


def tracked_remainder(sign: SignRemainder) -> Callable[[str, int, str], str]:
    """Return the function that writes token, number, remainder and MAC of a variable link."""

    def write(track: str, number: int, remainder: str) -> str:
        return f"{track}/{number}/{encode_remainder(remainder)}.{sign(track, number, remainder)}"

    return write


def finish_links(output: str, track: str, sign: SignRemainder) -> str:
    """Replace marked remainders in the output of logic."""
    write = tracked_remainder(sign)
    return _MARKED.sub(lambda found: write(track, int(found.group(1)), found.group(2)), output)


def resolve_link(payload: Mapping[str, object], link_no: int, remainder: str | None = None) -> str | None:
    """Return the target of a click, None when the email has no such link.

    The caller has checked the MAC of the remainder, and passes None or "" for a constant link.
    """
    links = payload.get("links")
    if not isinstance(links, list) or not 1 <= link_no <= len(links):
        return None
    link = links[link_no - 1]
    if not link["variable"]:
        return str(link["target"]) if not remainder else None
    if remainder is None or not _REMAINDER.fullmatch(remainder):
        return None
    return f"{link['target']}{remainder}"
