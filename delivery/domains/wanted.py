"""Which records a sending domain should have, by what Amazon says of its identity."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

EASY_DKIM_ZONE: Final = "dkim.amazonses.com"
EXTERNAL: Final = "EXTERNAL"
SUGGESTED_MAIL_FROM: Final = "bounce"


class Purpose(StrEnum):
    """What a record is for."""

    DKIM = "dkim"
    OWN_DKIM = "own_dkim"
    MAIL_FROM_MX = "mail_from_mx"
    MAIL_FROM_SPF = "mail_from_spf"
    SPF = "spf"
    DMARC = "dmarc"
    TRACKING = "tracking"
    LINKS = "links"


@dataclass(frozen=True, slots=True)
class Identity:
    """What Amazon says of the identity that covers a domain. name: the domain itself, one above it, or "" for none."""

    name: str = ""
    is_verified: bool = False
    dkim_status: str = ""
    is_signing: bool = False
    dkim_origin: str = ""
    dkim_tokens: tuple[str, ...] = ()
    dkim_zone: str = ""
    mail_from_domain: str = ""
    mail_from_status: str = ""
    on_mx_failure: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One record. value: what to publish, "" where only its owner knows it."""

    purpose: Purpose
    name: str
    kind: str
    value: str


def suffix_of(region: str) -> str:
    """Return the end of Amazon's names in a region."""
    return ".com.cn" if region.startswith("cn-") else ".com"


def wanted_records(
    domain: str, identity: Identity, *, region: str, redirect_domain: str, links_host: str
) -> list[Record]:
    """Return the records in the order in which one publishes them.

    redirect_domain: of SES's own link tracking, "" where it is off. links_host: of our links, "" where it is no name.
    """
    found = _dkim(identity)
    mail_from = identity.mail_from_domain or f"{SUGGESTED_MAIL_FROM}.{identity.name or domain}"
    feedback = f"feedback-smtp.{region}.amazonses{suffix_of(region)}"
    found += [
        Record(Purpose.MAIL_FROM_MX, mail_from, "MX", f"10 {feedback}"),
        Record(Purpose.MAIL_FROM_SPF, mail_from, "TXT", f"v=spf1 include:amazonses{suffix_of(region)} ~all"),
        Record(Purpose.DMARC, f"_dmarc.{domain}", "TXT", f"v=DMARC1; p=none; rua=mailto:dmarc@{domain}"),
        Record(Purpose.SPF, domain, "TXT", ""),
    ]
    if redirect_domain:
        found.append(Record(Purpose.TRACKING, redirect_domain, "CNAME", f"r.{region}.awstrack.me"))
    if links_host:
        found.append(Record(Purpose.LINKS, links_host, "A", ""))
    return found


def _dkim(identity: Identity) -> list[Record]:
    if identity.dkim_origin == EXTERNAL:
        return [
            Record(Purpose.OWN_DKIM, f"{selector}._domainkey.{identity.name}", "TXT", "")
            for selector in identity.dkim_tokens
        ]
    zone = identity.dkim_zone or EASY_DKIM_ZONE
    return [
        Record(Purpose.DKIM, f"{token}._domainkey.{identity.name}", "CNAME", f"{token}.{zone}")
        for token in identity.dkim_tokens
    ]
