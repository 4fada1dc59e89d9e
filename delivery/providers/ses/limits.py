"""SES's limits, checked before a call: botocore lets sixty recipients and illegal headers pass, and SES then refuses
the whole call.

Numbers and alphabets are those of the API's model (sesv2, 2019-09-27) and of
https://docs.aws.amazon.com/ses/latest/dg/quotas.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from delivery.providers.base import Entry, OutgoingEmail, PermanentError

ENTRIES_PER_CALL = 50
BYTES_PER_CALL = 900_000
TEMPLATE_BYTES = 1_000_000
DATA_CHARACTERS = 262_144
HEADERS_PER_MESSAGE = 15
HEADER_NAME_CHARACTERS = 126
HEADER_VALUE_CHARACTERS = 995
HEADER_CHARACTERS = 996
TAGS_PER_MESSAGE = 50
TAG_CHARACTERS = 256
ADDRESS_CHARACTERS = 320
REPLY_TO_ADDRESSES = 50
CONFIGURATION_SET_CHARACTERS = 64

CALL_TAG = "c"
MESSAGE_TAG = "m"

# What the API's own parameters write or SES itself adds; a second copy would make the message invalid.
RESERVED_HEADERS = frozenset(
    {
        *("from", "sender", "reply-to", "to", "cc", "bcc", "subject", "date", "message-id", "return-path", "received"),
        *("mime-version", "content-type", "content-transfer-encoding", "dkim-signature"),
        *("x-ses-configuration-set", "x-ses-message-tags"),
    }
)

HEADER_NAME = re.compile(r"[!-9;-@A-~]+")
TAG = re.compile(r"[A-Za-z0-9_-]+")
ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
QUOTED_LOCAL_PART = r'"(?:[ !#-\[\]-~]|\\[ -~])*"'
ADDRESS = re.compile(rf"(?:{ATOM}(?:\.{ATOM})*|{QUOTED_LOCAL_PART})@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")


class KnownHeaderNames:
    """Remembers header names already found legal: an email uses the same few a million times."""

    def __init__(self) -> None:
        self._lower_case: dict[str, str] = {}

    def lower(self, name: str) -> str:
        """Lower-case form of a legal header name. Raises PermanentError for any other."""
        known = self._lower_case.get(name)
        if known is None:
            check_header_name(name)
            known = name.lower()
            # Names come from code, not from readers; the bound is against a caller that invents one per message.
            if len(self._lower_case) < 1000:
                self._lower_case[name] = known
        return known


def check_header_name(name: str) -> None:
    """Raise PermanentError for a name that SES refuses or writes itself."""
    if len(name) > HEADER_NAME_CHARACTERS:
        raise PermanentError(f"header {name[:40]}…: its name is longer than {HEADER_NAME_CHARACTERS} characters")
    if not HEADER_NAME.fullmatch(name):
        raise PermanentError(f"header {name!r}: a name is printable ASCII without space and colon")
    if name.lower() in RESERVED_HEADERS:
        raise PermanentError(f"header {name}: SES writes this one itself")


def check_headers(headers: Iterable[tuple[str, str]], names: KnownHeaderNames) -> frozenset[str]:
    """Check headers of one message and return their names in lower case. Raises PermanentError."""
    seen: set[str] = set()
    for name, value in headers:
        lower = names.lower(name)
        if lower in seen:
            raise PermanentError(f"header {name}: given twice")
        seen.add(lower)
        if not (value and value.isascii() and value.isprintable()):
            raise PermanentError(f"header {name}: a value is printable ASCII and not empty")
        if len(value) > HEADER_VALUE_CHARACTERS or len(name) + len(value) > HEADER_CHARACTERS:
            raise PermanentError(f"header {name}: longer than {HEADER_VALUE_CHARACTERS} characters")
    return frozenset(seen)


def check_header_count(names: frozenset[str]) -> None:
    """Raise PermanentError when a message would carry more custom headers than SES takes."""
    if len(names) > HEADERS_PER_MESSAGE:
        raise PermanentError(f"{len(names)} headers: SES takes {HEADERS_PER_MESSAGE} in one message")


def check_tag(name: str, value: str) -> None:
    """Raise PermanentError for a message tag outside SES's alphabet or length."""
    for part in (name, value):
        if len(part) > TAG_CHARACTERS or not TAG.fullmatch(part):
            raise PermanentError(
                f"tag {name[:40]!r}: name and value are 1 to {TAG_CHARACTERS} ASCII letters, digits, - and _"
            )


def check_address(address: str) -> None:
    """Raise PermanentError unless it is one bare mailbox: a comma or a space would add a recipient."""
    if len(address) > ADDRESS_CHARACTERS or not ADDRESS.fullmatch(address):
        raise PermanentError("address: not a plain ASCII mailbox of at most 320 characters")


def check_data(data: str) -> None:
    """Raise PermanentError when the encoded slot values of one recipient are too long."""
    if len(data) > DATA_CHARACTERS:
        raise PermanentError(f"template data of {len(data)} characters: SES takes {DATA_CHARACTERS} per recipient")


def check_email(email: OutgoingEmail, names: KnownHeaderNames) -> frozenset[str]:
    """Check what all recipients share, sizes apart, and return the names of its headers in lower case."""
    for mailbox in (email.sender, *email.reply_to):
        if not (mailbox and mailbox.isascii() and mailbox.isprintable()) or len(mailbox) > HEADER_VALUE_CHARACTERS:
            raise PermanentError("sender and Reply-To: printable ASCII, not empty, at most 995 characters")
    if len(email.reply_to) > REPLY_TO_ADDRESSES:
        raise PermanentError(f"{len(email.reply_to)} Reply-To addresses: SES takes {REPLY_TO_ADDRESSES}")
    if not email.subject:
        raise PermanentError("subject: empty")
    if not (email.html or email.text):
        raise PermanentError("neither an HTML nor a text part")
    if email.configuration_set:
        name = email.configuration_set
        if len(name) > CONFIGURATION_SET_CHARACTERS or not TAG.fullmatch(name):
            raise PermanentError("configuration set: a name is 1 to 64 ASCII letters, digits, - and _")
    for tag, value in email.tags:
        if tag in (CALL_TAG, MESSAGE_TAG):
            raise PermanentError(f"tag {tag}: taken by the call's and the message's own")
        check_tag(tag, value)
    if len(email.tags) + 2 > TAGS_PER_MESSAGE:
        raise PermanentError(f"{len(email.tags)} tags: SES takes {TAGS_PER_MESSAGE} with the two of ours")
    header_names = check_headers(email.headers, names)
    check_header_count(header_names)
    return header_names


def check_entries(entries: Sequence[Entry], shared: frozenset[str], names: KnownHeaderNames) -> None:
    """Check all recipients of a call; the message of the PermanentError starts with the offender's place."""
    if not 1 <= len(entries) <= ENTRIES_PER_CALL:
        raise PermanentError(f"{len(entries)} entries: SES takes 1 to {ENTRIES_PER_CALL} in a call")
    for place, entry in enumerate(entries, start=1):
        try:
            check_address(entry.address)
            check_tag(MESSAGE_TAG, entry.tag)
            own = check_headers(entry.headers, names)
            if len(own) + len(shared) > HEADERS_PER_MESSAGE:
                check_header_count(own | shared)
        except PermanentError as error:
            raise PermanentError(f"entry {place}: {error}") from error
