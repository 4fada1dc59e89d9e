"""Turn people into provider calls: values for the slots, headers, the signed tag; packed by count and by bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import NamedTuple
from urllib.parse import quote
from uuid import UUID, uuid4

from delivery.compiling import Program, Tokens
from delivery.compiling.contract import RenderError
from delivery.engine.claiming import Batch
from delivery.engine.reading import PersonRow
from delivery.providers.base import CallResult, Entry, PermanentError, PreparedCall, Provider
from delivery.tokens import manage_token, track_token


@dataclass(slots=True)
class EngineEmail:
    """What a worker keeps of a mailout's email: the program, what the provider encoded once, and the header parts."""

    program: Program
    prepared: object
    public_url: str
    unsubscribe_mailto: str  # mailbox that reads "unsubscribe" mails, "" for none
    created_at: float = field(default_factory=monotonic)


@dataclass(slots=True)
class Call:
    """One provider call. lo and hi are positions of the batch; `people` the n of its entries, ascending."""

    id: UUID
    batch: Batch
    lo: int
    hi: int
    people: list[int]
    request: PreparedCall
    armed_at: float = 0.0
    result: CallResult | None = None


class Refused(NamedTuple):
    """Somebody who cannot be sent to whatever is tried: a rendering error, a header that breaks a limit."""

    n: int
    error: str


class Packed(NamedTuple):
    calls: list[Call]
    refused: list[Refused]
    upto: int  # position up to which the batch is covered


def person_of_row(row: PersonRow) -> dict[str, object]:
    """The compiler's view of a person."""
    return {
        "email": row[3],
        "first_name": row[5] or "",
        "last_name": row[6] or "",
        "locale": row[7] or "",
        "time_zone": row[8] or "",
        "attributes": row[9] or {},
        "tags": row[10] or [],
    }


def wire_address(written: str, canonical: str) -> str:
    """Local part as written, domain in punycode: what SES accepts (no SMTPUTF8) and what DMARC aligns."""
    if written.lower() == canonical:
        return written
    local = written.strip().rpartition("@")[0]
    domain = canonical.rpartition("@")[2]
    return f"{local}@{domain}" if local.lower() == canonical.rpartition("@")[0] else canonical


def entry_of(email: EngineEmail, batch: Batch, row: PersonRow) -> Entry:
    """One recipient. Raises RenderError when the author's logic fails on this person's data."""
    track = track_token(batch.mailout_id, row[0])
    manage = manage_token(row[1], row[2])
    values = email.program.values(person_of_row(row), Tokens(track, manage))
    unsubscribe = f"<{email.public_url}/u/{manage}?m={track}>"
    if email.unsubscribe_mailto:
        unsubscribe += f", <mailto:{email.unsubscribe_mailto}?subject=unsubscribe>"
    return Entry(wire_address(row[3], row[4]), values, (("List-Unsubscribe", unsubscribe),), track)


def quoted_mailbox(address: str) -> str:
    """An address as it stands in a mailto URI."""
    return quote(address, safe="@+")


class Packer:
    """Packs people into calls for one provider."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def pack(
        self, email: EngineEmail, batch: Batch, people: Sequence[PersonRow], *, upto: int, entries_per_call: int
    ) -> Packed:
        """Build and sign calls for `people`, which cover the batch's positions from `armed_to` to `upto`."""
        size = min(entries_per_call, self.provider.limits.entries_per_call, batch.call_size or entries_per_call)
        limit = self.provider.limits.bytes_per_call - int(getattr(email.prepared, "size", 0))
        calls: list[Call] = []
        refused: list[Refused] = []
        entries: list[Entry] = []
        numbers: list[int] = []
        room = limit
        lo = batch.armed_to

        def close(hi: int) -> None:
            nonlocal lo, entries, numbers, room
            if entries:
                self._build(email, batch, lo, hi, numbers, entries, calls, refused)
                lo, entries, numbers, room = hi, [], [], limit

        for row in people:
            try:
                entry = entry_of(email, batch, row)
            except RenderError as error:
                refused.append(Refused(row[0], f"render: {error}"))
                continue
            needed = self.provider.entry_size(entry)
            if len(entries) == size or needed > room:
                close(self._position(batch, row[0]))
            entries.append(entry)
            numbers.append(row[0])
            room -= needed
        close(upto)
        return Packed(calls, refused, upto)

    @staticmethod
    def _position(batch: Batch, n: int) -> int:
        return n if batch.members is None else batch.members.index(n, batch.armed_to)

    def _build(
        self,
        email: EngineEmail,
        batch: Batch,
        lo: int,
        hi: int,
        numbers: list[int],
        entries: list[Entry],
        calls: list[Call],
        refused: list[Refused],
    ) -> None:
        call_id = uuid4()
        try:
            request = self.provider.build(email.prepared, entries, call_id.hex)
        except PermanentError:
            # One entry breaks a limit: find it, fail it alone, send the others.
            good_entries, good_numbers = [], []
            for n, entry in zip(numbers, entries, strict=True):
                try:
                    self.provider.build(email.prepared, [entry], call_id.hex)
                except PermanentError as error:
                    refused.append(Refused(n, f"limit: {error}"))
                else:
                    good_entries.append(entry)
                    good_numbers.append(n)
            if not good_entries:
                return
            numbers, entries = good_numbers, good_entries
            request = self.provider.build(email.prepared, entries, call_id.hex)
        calls.append(Call(call_id, batch, lo, hi, numbers, request))
