"""An event in the vocabulary of the ledger, whichever provider or reader it came from."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum
from typing import NamedTuple
from zlib import crc32


class Consequence(IntEnum):
    """What an event means for the address, beside its place in the ledger."""

    NONE = 0
    HARD_BOUNCE = 1  # nothing more to it, at once
    COMPLAINT = 2
    PROVIDER = 3  # the provider holds it on a list of its own
    INVALID = 4  # the provider's validation refused it
    UNSUBSCRIBE = 5  # the provider's own unsubscribe link


class ProviderEvent(NamedTuple):
    """One thing that happened to one message.

    mailout_id, n: 0 when the event carries no token of ours; then only `address` and `topic_arn` place it.
    type: EventType. sent_at: when the provider accepted the message; None for what a reader did.
    address: the destination as the provider wrote it. detail: JSON, or None.
    disc: tells apart events of one type at one time.
    """

    mailout_id: int
    n: int
    type: int
    at: datetime
    disc: int = 0
    address: str = ""
    consequence: Consequence = Consequence.NONE
    sent_at: datetime | None = None
    provider_id: str | None = None
    error: str | None = None
    link_no: int | None = None
    user_agent: str = ""
    detail: bytes | None = None
    topic_arn: str = ""


class MalformedEventError(ValueError):
    """The message can't be read; trying again would not help."""


def discriminator(*parts: str) -> int:
    """A signed 32-bit number for the text that tells two events apart; 0 for no text."""
    text = "\0".join(parts)
    if not text:
        return 0
    number = crc32(text.encode("utf-8", "surrogatepass"))
    return number - (1 << 32) if number >= 1 << 31 else number


def read_time(value: object) -> datetime:
    """Read a provider's ISO 8601 time. Raises MalformedEventError, also for a time without a zone."""
    if not isinstance(value, str):
        raise MalformedEventError("a time is missing")
    try:
        at = datetime.fromisoformat(value)
    except ValueError as error:
        raise MalformedEventError(f"not a time: {value[:40]!r}") from error
    if at.tzinfo is None:
        raise MalformedEventError(f"a time without a zone: {value[:40]!r}")
    return at
