"""The canonical form of an email address: how it is written, found and put on the wire.

RFC 5321 §2.4 makes the domain case-insensitive; treating the local part likewise is universal practice, so the key is
lower case while the wire keeps the local part as it was written (a few old servers do tell them apart).
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

import idna
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from amazonsender.core.errors import InvalidInput

# Spaces that people paste with an address. str.strip() knows NBSP, but not the zero-width ones.
INVISIBLE = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad"
TRIM = (
    " \t\r\n\x0b\x0c\x00\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u202f\u205f\u3000" + INVISIBLE
)

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_is_local = re.compile(rf"{_ATOM}(?:\.{_ATOM})*").fullmatch
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_is_plain_domain = re.compile(rf"(?:{_LABEL}\.)+(?:{_LABEL})").fullmatch
_is_address_in_text = re.compile(r"[^\s@<>,;:]+@[^\s@<>,;:]+\.[^\s@<>,;:]+").findall

MAX_ADDRESS = 254  # RFC 5321 §4.5.3.1.3 less the angle brackets
MAX_LOCAL = 64
_MAX_CACHED_DOMAINS = 100_000
_domains: dict[str, str] = {}

MESSAGES: dict[str, str | Promise] = {
    "empty": _("There is no address."),
    "several": _("There is more than one address in it."),
    "no_at": _("There is no @ in it."),
    "local_empty": _("Nothing stands before the @."),
    "local_non_ascii": _("Amazon SES can't send to letters outside of ASCII before the @."),
    "local_too_long": _("More than 64 characters before the @."),
    "local_dots": _("A dot stands first, last or twice in a row before the @."),
    "local_quoted": _("Quoted names before the @ are not supported."),
    "local_invalid": _("A character before the @ is not allowed there."),
    "domain_empty": _("Nothing stands after the @."),
    "domain_no_dot": _("The domain has no dot."),
    "domain_literal": _("An IP address in place of a domain is not supported."),
    "domain_dots": _("A dot stands first, last or twice in a row in the domain."),
    "domain_invalid": _("The domain is not a valid one."),
    "too_long": _("The address is longer than 254 characters."),
}


class Address(NamedTuple):
    """An address that can be mailed."""

    written: str  # as the person wrote it, trimmed
    key: str  # how it is found: lower case, domain in punycode
    wire: str  # what the provider gets: local part as written, domain in punycode
    domain: str  # in punycode


class InvalidAddress(InvalidInput):
    """Not an address that Amazon SES can send to; `code` is one of MESSAGES."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(str(MESSAGES[code]))


def canonical(address: str) -> Address:
    """Bring an address into its canonical form, or raise InvalidAddress.

    Plain ASCII addresses take about 1 µs, which is what lets a million-row import check each one.
    """
    local, _at, domain = address.rpartition("@")
    wire_domain = _domains.get(domain)
    if wire_domain is not None and len(local) <= MAX_LOCAL and _is_local(local) and len(address) <= MAX_ADDRESS:
        if wire_domain == domain:
            return Address(address, address.lower(), address, domain)
        wire = f"{local}@{wire_domain}"
        return Address(address, wire.lower(), wire, wire_domain)
    return _canonical_with_care(address)


def _canonical_with_care(address: str) -> Address:
    """Do everything that the fast path leaves out, then remember the domain for it."""
    written = unicodedata.normalize("NFC", address.translate(_WITHOUT_INVISIBLE).strip(TRIM))
    if not written:
        raise InvalidAddress("empty")
    local, at, domain = written.rpartition("@")
    if not at:
        raise InvalidAddress("no_at")
    if "@" in local and len(_is_address_in_text(written)) > 1:
        raise InvalidAddress("several")
    _check_local(local)
    wire_domain = _domain_in_punycode(domain)
    wire = f"{local}@{wire_domain}"
    if len(wire) > MAX_ADDRESS:
        raise InvalidAddress("too_long")
    if len(_domains) >= _MAX_CACHED_DOMAINS:
        _domains.clear()
    _domains[domain] = wire_domain
    return Address(written, wire.lower(), wire, wire_domain)


def _check_local(local: str) -> None:
    if not local:
        raise InvalidAddress("local_empty")
    if not local.isascii():
        raise InvalidAddress("local_non_ascii")
    if local.startswith('"'):
        raise InvalidAddress("local_quoted")
    if local.startswith(".") or local.endswith(".") or ".." in local:
        raise InvalidAddress("local_dots")
    if not _is_local(local):
        raise InvalidAddress("local_invalid")
    if len(local) > MAX_LOCAL:
        raise InvalidAddress("local_too_long")


def _domain_in_punycode(domain: str) -> str:
    if not domain:
        raise InvalidAddress("domain_empty")
    if domain.startswith("["):
        raise InvalidAddress("domain_literal")
    if domain.startswith(".") or domain.endswith((".", "。")) or ".." in domain:
        raise InvalidAddress("domain_dots")
    name = domain.lower()
    if not name.isascii() or "xn--" in name:
        try:
            name = idna.encode(name, uts46=True, std3_rules=True).decode("ascii").lower()
        except idna.IDNAError:
            raise InvalidAddress("domain_invalid") from None
    if "." not in name:
        raise InvalidAddress("domain_no_dot")
    if not _is_plain_domain(name) or len(name) > 253:
        raise InvalidAddress("domain_invalid")
    if name.rpartition(".")[2].isdigit():
        raise InvalidAddress("domain_literal")
    return name


def readable(address: str) -> str:
    """An address as people write it: `ana@xn--bcher-kva.example` is `ana@bücher.example`."""
    local, at, domain = address.rpartition("@")
    if "xn--" not in domain:
        return address
    try:
        return f"{local}{at}{idna.decode(domain)}"
    except idna.IDNAError:
        return address


_WITHOUT_INVISIBLE = dict.fromkeys(map(ord, INVISIBLE))


def find_key(text: str) -> str:
    """The key under which a typed or reported address would be found; "" when it can't be an address.

    Takes `Ana <ANA@Example.com>` and `<ana@example.com>` too, as mail systems report them.
    """
    inner = text.rpartition("<")[2].partition(">")[0] if "<" in text else text
    try:
        return canonical(inner).key
    except InvalidAddress:
        return ""
