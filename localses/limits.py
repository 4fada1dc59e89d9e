"""The limits that SES documents and its service model doesn't hold: rates, quotas, addresses, headers, tags."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterable

import orjson

from localses.config import Settings
from localses.errors import bad_request, exception
from localses.fates import simulator_name
from localses.model import Json

MAX_RECIPIENTS = 50  # To + Cc + Bcc of one message
MAX_ENTRIES = 50  # destinations of one bulk call
MAX_TAGS = 50
MAX_INLINE_REQUEST = 1024 * 1024  # a request with an inline template, body and all
MAX_STORED_TEMPLATE = 500 * 1024
MAX_MESSAGE = 40 * 1024 * 1024
MAX_HEADER = 996  # name and value together
_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")
_LOCAL = re.compile(r"[!-?A-~]{1,64}")
_DOMAIN = re.compile(
    r"(?=.{1,255}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?)*"
)
_DAY_MINUTES = 24 * 60
OWN_PARAMETERS = frozenset({"from", "to", "cc", "bcc", "subject"})


class RateBucket:
    """SES's sending rate: a second's worth of recipients, and debt.

    A call passes while anything is left, however many recipients it has; what it took too much has to be repaid
    before the next one passes.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._left = settings.max_send_rate
        self._at = clock()

    def take(self, recipients: int) -> None:
        """Take the allowance of a call. Raises TooManyRequestsException while there is debt."""
        rate = self._settings.max_send_rate
        now = self._clock()
        self._left = min(max(rate, 1.0), self._left + (now - self._at) * rate)
        self._at = now
        if self._left <= 0:
            raise exception("TooManyRequestsException")
        self._left -= recipients


def sent_last_24_hours(db: sqlite3.Connection, now: float) -> int:
    """Count the recipients of the rolling day, in minutes."""
    since = int(now // 60) - _DAY_MINUTES
    row = db.execute("SELECT coalesce(sum(recipients), 0) AS n FROM usage WHERE minute > ?", (since,)).fetchone()
    return int(row["n"])


def add_usage(db: sqlite3.Connection, now: float, recipients: int) -> None:
    """Count recipients against the daily quota."""
    minute = int(now // 60)
    db.execute(
        "INSERT INTO usage (minute, recipients) VALUES (?, ?)"
        " ON CONFLICT (minute) DO UPDATE SET recipients = recipients + excluded.recipients",
        (minute, recipients),
    )
    db.execute("DELETE FROM usage WHERE minute <= ?", (minute - _DAY_MINUTES,))


def counted(addresses: Iterable[str]) -> int:
    """Return how many of the addresses count against the daily quota: mail to the simulator doesn't."""
    return sum(simulator_name(address) is None for address in addresses)


def bare_address(text: str) -> str:
    """Return the address of `Name <address>`, or the text as it is."""
    text = text.strip()
    if text.endswith(">") and "<" in text:
        return text[text.rindex("<") + 1 : -1].strip()
    return text


def address_problem(text: str) -> str | None:
    """Say in SES's words what is wrong with an address, or return None."""
    if not text.isascii():
        return "Address contains characters outside of US-ASCII: encode the name (RFC 2047) and the domain (Punycode)"
    if "\r" in text or "\n" in text:
        return "Address contains a line break"
    address = bare_address(text)
    local, at, domain = address.rpartition("@")
    if not at:
        return "Missing final '@domain'"
    if not _LOCAL.fullmatch(local) and not (local.startswith('"') and local.endswith('"') and len(local) > 2):
        return "Local address contains control or whitespace" if local else "Missing local name"
    if local.startswith(".") or local.endswith(".") or ".." in local:
        return "Local address contains a dot in the wrong place"
    if not _DOMAIN.fullmatch(domain):
        return "Domain contains illegal character"
    return None


def check_addresses(addresses: Iterable[str], field: str) -> None:
    """Raise BadRequestException for the first address of a parameter that SES wouldn't take."""
    for address in addresses:
        problem = address_problem(address)
        if problem is not None:
            raise bad_request(f"{field}: {problem}: {address!r}.")


def check_tags(tags: list[Json]) -> None:
    """Raise BadRequestException for tags outside of SES's alphabet, lengths and count."""
    if len(tags) > MAX_TAGS:
        raise bad_request(f"A message may have {MAX_TAGS} tags.")
    for tag in tags:
        for part in (tag["Name"], tag["Value"]):
            if not _TAG.fullmatch(part):
                raise bad_request(f"Invalid tag {part!r}: only alphanumeric ASCII characters, '_' and '-' are allowed.")


def check_headers(headers: list[Json]) -> None:
    """Raise BadRequestException for headers that are too long together, twice there, or parameters of their own."""
    seen = set()
    for header in headers:
        name = header["Name"].lower()
        if len(name) + len(header["Value"]) > MAX_HEADER:
            raise bad_request(f"Header {header['Name']!r} is longer than {MAX_HEADER} characters.")
        if name in seen:
            raise bad_request(f"Duplicate header {header['Name']!r}.")
        if name in OWN_PARAMETERS:
            raise bad_request(f"Header {header['Name']!r} has a parameter of its own.")
        seen.add(name)


def template_data(text: str | None) -> Json:
    """Read template data. Raises ValueError when it isn't a JSON object."""
    if not text:
        return {}
    data = orjson.loads(text)
    if not isinstance(data, dict):
        raise ValueError("Template data must be a JSON object.")  # noqa: TRY004 - callers catch one kind of error
    return data
