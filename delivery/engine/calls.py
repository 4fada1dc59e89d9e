"""Turn people into provider calls: values for the slots, headers, the signed tag; packed by count and by bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import NamedTuple
from urllib.parse import quote
from uuid import UUID, uuid4

import orjson

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
    armed_at: float = 0.0  # monotonic seconds, as are those of not_before: the start of its grant
    not_before: float = 0.0
    is_probe: bool = False
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
        "attributes": orjson.loads(row[9]) if row[9] else {},
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


@dataclass(slots=True)
class _Group:
    """Entries that are to become one call, and the positions that it covers."""

    lo: int
    hi: int
    numbers: list[int]
    entries: list[Entry]

    def halves(self, position: Callable[[int], int]) -> tuple[_Group, _Group]:
        half = len(self.entries) // 2
        middle = position(self.numbers[half])
        return (
            _Group(self.lo, middle, self.numbers[:half], self.entries[:half]),
            _Group(middle, self.hi, self.numbers[half:], self.entries[half:]),
        )


class Packer:
    """Packs people into calls for one provider: as many as allowed, halved where a call would be too large."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def pack(
        self, email: EngineEmail, batch: Batch, people: Sequence[PersonRow], *, upto: int, entries_per_call: int
    ) -> Packed:
        """Build and sign calls for `people`, which cover the batch's positions from `armed_to` to `upto`."""
        size = min(entries_per_call, self.provider.limits.entries_per_call, batch.call_size or entries_per_call)
        refused: list[Refused] = []
        entries: list[tuple[int, Entry]] = []
        for row in people:
            try:
                entries.append((row[0], entry_of(email, batch, row)))
            except RenderError as error:
                refused.append(Refused(row[0], f"render: {error}"))

        def position(n: int) -> int:
            return n if batch.members is None else batch.members.index(n, batch.armed_to)

        groups = []
        for start in range(0, len(entries), size):
            chosen = entries[start : start + size]
            lo = position(chosen[0][0]) if start else batch.armed_to
            hi = position(entries[start + size][0]) if start + size < len(entries) else upto
            groups.append(_Group(lo, hi, [n for n, _ in chosen], [entry for _, entry in chosen]))
        calls: list[Call] = []
        groups.reverse()
        while groups:
            group = groups.pop()
            request, call_id = self._build(email, group, refused)
            if request is None:
                continue
            if request.size > self.provider.limits.bytes_per_call and len(group.entries) > 1:
                groups.extend(reversed(group.halves(position)))
            else:
                calls.append(Call(call_id, batch, group.lo, group.hi, group.numbers, request))
        return Packed(calls, refused, upto)

    def _build(self, email: EngineEmail, group: _Group, refused: list[Refused]) -> tuple[PreparedCall | None, UUID]:
        """Encode a group. When one entry breaks a limit, find it, fail it alone, and go on with the others."""
        call_id = uuid4()
        try:
            return self.provider.build(email.prepared, group.entries, call_id.hex), call_id
        except PermanentError:
            good = []
            for n, entry in zip(group.numbers, group.entries, strict=True):
                try:
                    self.provider.build(email.prepared, [entry], call_id.hex)
                except PermanentError as error:
                    refused.append(Refused(n, f"limit: {error}"))
                else:
                    good.append((n, entry))
            group.numbers, group.entries = [n for n, _ in good], [entry for _, entry in good]
            return (self.provider.build(email.prepared, group.entries, call_id.hex) if good else None), call_id
