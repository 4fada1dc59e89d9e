"""What a mail's addresses and headers may consist of, whoever carries it: RFC 5321 §4.1.2 and RFC 5322 §2.2.

Checked before anything is built, since a line end in a value would begin another header, or another command.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from delivery.providers.base import Entry, OutgoingEmail, PermanentError

ADDRESS_CHARACTERS: Final = 320
HEADER_CHARACTERS: Final = 996  # a line of RFC 5322 has at most 998, and ": " stands in it, too

HEADER_NAME = re.compile(r"[!-9;-@A-~]+")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_QUOTED_LOCAL_PART = r'"(?:[ !#-\[\]-~]|\\[ -~])*"'
ADDRESS = re.compile(rf"(?:{_ATOM}(?:\.{_ATOM})*|{_QUOTED_LOCAL_PART})@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
TAG = re.compile(r"[A-Za-z0-9_-]{1,200}")

# What is written from the email's own parts; a second copy would make the message invalid.
RESERVED_HEADERS = frozenset(
    {
        *("from", "sender", "reply-to", "to", "cc", "bcc", "subject", "date", "message-id", "return-path", "received"),
        *("mime-version", "content-type", "content-transfer-encoding", "dkim-signature"),
    }
)


def check_address(address: str) -> None:
    """Raise PermanentError unless it is one bare mailbox: a comma or a space could add a recipient."""
    if len(address) > ADDRESS_CHARACTERS or not ADDRESS.fullmatch(address):
        raise PermanentError("address: not a plain ASCII mailbox of at most 320 characters")


def check_headers(headers: Iterable[tuple[str, str]]) -> None:
    """Raise PermanentError for a header that can't stand in a message as it is, or that is not the caller's to write."""
    seen = set(RESERVED_HEADERS)
    for name, value in headers:
        lower = name.lower()
        if not HEADER_NAME.fullmatch(name):
            raise PermanentError(f"header {name[:40]!r}: a name is printable ASCII without space and colon")
        if lower in seen:
            raise PermanentError(f"header {name}: written by the email itself, or given twice")
        if not (value and value.isascii() and value.isprintable()):
            raise PermanentError(f"header {name}: a value is printable ASCII and not empty")
        if len(name) + len(value) > HEADER_CHARACTERS:
            raise PermanentError(f"header {name}: longer than {HEADER_CHARACTERS} characters")
        seen.add(lower)


def check_email(email: OutgoingEmail) -> None:
    """Raise PermanentError unless the email has what every message needs, in characters that every server takes."""
    for mailbox in (email.sender, *email.reply_to):
        if not (mailbox and mailbox.isascii() and mailbox.isprintable()) or len(mailbox) > HEADER_CHARACTERS:
            raise PermanentError("sender and Reply-To: printable ASCII, not empty, at most 996 characters")
    if not email.subject:
        raise PermanentError("subject: empty")
    if not (email.html or email.text):
        raise PermanentError("neither an HTML nor a text part")
    check_headers(email.headers)


def check_entries(entries: Sequence[Entry], most: int) -> None:
    """Raise PermanentError for a call with too many entries, or naming the place of one that can't be sent to."""
    if not 1 <= len(entries) <= most:
        raise PermanentError(f"{len(entries)} entries: 1 to {most} in a call")
    for place, entry in enumerate(entries, start=1):
        try:
            check_address(entry.address)
            check_headers(entry.headers)
            check_tag(entry.tag)
        except PermanentError as error:
            raise PermanentError(f"entry {place}: {error}") from error


def check_tag(tag: str) -> None:
    """Raise PermanentError unless it is a message's token."""
    if not TAG.fullmatch(tag):
        raise PermanentError("tag: 1 to 200 ASCII letters, digits, - and _")


def merged(shared: Iterable[tuple[str, str]], own: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Headers of one message: a recipient's own replaces the shared one of its name."""
    names = {name.lower() for name, _ in own}
    return [header for header in shared if header[0].lower() not in names] + list(own)


def alternating(template: str) -> tuple[str, ...]:
    """Take a template with `{{name}}` apart: constant, slot name, constant, …"""
    return tuple(_SLOT.split(template))


_SLOT = re.compile(r"\{\{([A-Za-z_][A-Za-z0-9_]*)\}\}")


def segments_of(email: OutgoingEmail, part: str) -> tuple[str, ...]:
    """Constants and slots of "subject", "html" or "text", from the compiled segments where the email has them."""
    return email.segments.get(part) or alternating(getattr(email, part))


def fill(segments: Sequence[str], values: dict[str, str]) -> str:
    """Join constants and slots with one recipient's values. Raises PermanentError when one lacks."""
    try:
        return "".join([values[piece] if index % 2 else piece for index, piece in enumerate(segments)])
    except KeyError as error:
        raise PermanentError(f"no value for the slot {error}") from error
