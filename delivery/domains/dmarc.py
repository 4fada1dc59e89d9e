"""DMARC (RFC 7489): a domain's wish about mail that is not aligned."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from delivery.domains.names import is_within

POLICIES: Final = ("none", "quarantine", "reject")
_VERSION: Final = re.compile(r"v\s*=\s*DMARC1\s*(?:;|$)")


class DmarcError(ValueError):
    """A record that receivers ignore; the message is the tag at fault."""


class Dmarc(NamedTuple):
    """policy: of this very domain; of a record above it, its policy for subdomains. percent: of mail it holds for."""

    policy: str
    is_dkim_strict: bool
    is_spf_strict: bool
    percent: int
    reports_to: str


def records_of(texts: Sequence[str]) -> list[str]:
    """Return the DMARC records among a name's texts."""
    return [text for text in texts if _VERSION.match(text)]


def parse(record: str, *, is_above: bool = False) -> Dmarc:
    """Read a record; is_above: it was found at a domain above. Raises DmarcError."""
    tags: dict[str, str] = {}
    for part in record.split(";"):
        name, _, value = part.partition("=")
        if name.strip():
            tags.setdefault(name.strip().lower(), value.strip())
    policy = tags.get("p", "").lower()
    if is_above:
        policy = tags.get("sp", policy).lower()
    reports = tags.get("rua", "")
    if policy not in POLICIES:
        if not reports:
            raise DmarcError("sp" if is_above and "sp" in tags else "p")
        policy = "none"  # section 6.6.3: a record that asks for reports counts as one without a wish
    percent = tags.get("pct", "100")
    return Dmarc(
        policy,
        tags.get("adkim", "r").lower() == "s",
        tags.get("aspf", "r").lower() == "s",
        int(percent) if percent.isascii() and percent.isdecimal() and int(percent) <= 100 else 100,
        reports,
    )


def is_aligned(domain: str, other: str, *, owner: str, is_strict: bool) -> bool:
    """Say whether the domain of the From address is aligned with one that signed, or that bounces go to.

    Relaxed alignment compares organizational domains. `owner` is the domain that Amazon verified: whoever proved it in
    DNS has everything below it, so that what stands below it is one organization's.
    """
    if is_strict:
        return domain == other
    return bool(owner) and is_within(domain, owner) and is_within(other, owner)
