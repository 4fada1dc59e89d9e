"""From an email and its recipients to what anymail's message carries, for each way in which services personalise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from delivery.providers.anymail.services import Bodies, Filled, Service
from delivery.providers.base import Entry, OutgoingEmail, PermanentError
from delivery.providers.rules import check_email, fill, merged, segments_of

PARTS = ("subject", "html", "text")
OPENING_SLOT = "lit"


@dataclass(frozen=True, slots=True)
class PreparedEmail:
    """What all calls of an email share. templates: the parts as the service takes them for all."""

    email: OutgoingEmail
    segments: dict[str, tuple[str, ...]]
    templates: dict[str, str]
    constant_bytes: int
    has_opening: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """People of one request: no address twice, since services tell people apart by it. places: theirs in the call."""

    places: list[int]
    addresses: list[str]
    fields: dict[str, Any]


def prepare_email(email: OutgoingEmail, service: Service) -> PreparedEmail:
    """Check what all recipients share, and write it in the service's notation. Raises PermanentError."""
    check_email(email)
    segments = {part: segments_of(email, part) for part in PARTS}
    has_opening = False
    if service.filled is not None:
        written = {part: _in_notation(pieces, service.filled) for part, pieces in segments.items()}
        templates = {part: text for part, (text, _) in written.items()}
        has_opening = any(found for _, found in written.values())
    else:
        # Nobody gets these: they stand where a request needs a common part, and hold no values.
        templates = {part: "".join(pieces[::2]) for part, pieces in segments.items()}
    size = sum(len(piece) for pieces in segments.values() for piece in pieces[::2])
    return PreparedEmail(email, segments, templates, size, has_opening)


def make_batches(
    prepared: PreparedEmail, service: Service, entries: Sequence[Entry], call_id: str
) -> tuple[list[Batch], int]:
    """The call's requests and about how many bytes they hold. Raises PermanentError for a value that lacks."""
    size = 0
    batches = []
    for places in _apart(entries):
        people = [entries[place] for place in places]
        if service.bodies is Bodies.ALONE:
            fields, added = _alone(prepared, service, people[0], call_id)
        else:
            fields, added = _together(prepared, service, people, call_id)
        size += added
        batches.append(Batch(places, [person.address for person in people], fields))
    return batches, size


def _apart(entries: Sequence[Entry]) -> list[list[int]]:
    """Places of the call's entries, an address at most once in each group."""
    groups: list[tuple[set[str], list[int]]] = []
    for place, entry in enumerate(entries):
        key = entry.address.lower()
        for taken, places in groups:
            if key not in taken:
                taken.add(key)
                places.append(place)
                break
        else:
            groups.append(({key}, [place]))
    return [places for _, places in groups]


def _together(
    prepared: PreparedEmail, service: Service, people: list[Entry], call_id: str
) -> tuple[dict[str, Any], int]:
    email = prepared.email
    has_common = service.filled is not None and service.filled.has_common
    if has_common:
        headers = [dict(person.headers) for person in people]
    else:
        headers = [dict(merged(email.headers, person.headers)) for person in people]
    fields: dict[str, Any] = {
        **prepared.templates,
        "sender": email.sender,
        "reply_to": email.reply_to,
        "to": [person.address for person in people],
        "headers": dict(email.headers) if has_common else {},
    }
    if has_common:
        fields["metadata"] = {"c": call_id}
        fields["merge_metadata"] = {person.address: {"m": person.tag} for person in people}
        fields["merge_headers"] = dict(zip(fields["to"], headers, strict=True))
    elif not service.tag_field:
        # Both ids for each person: some services let the message's metadata take the place of the call's.
        fields["merge_metadata"] = {person.address: {"m": person.tag, "c": call_id} for person in people}
        fields["merge_headers"] = dict(zip(fields["to"], headers, strict=True))
    if service.filled is not None:
        data = {person.address: _values(prepared, service.filled, person) for person in people}
        size = sum(len(value) for values in data.values() for value in values.values()) + prepared.constant_bytes
        return fields | {"merge_data": data}, size
    persons = [
        {part: fill(prepared.segments[part], person.values) for part in PARTS} | {"tag": f"{person.tag}.{call_id}"}
        for person in people
    ]
    size = sum(len(person["html"]) + len(person["text"]) for person in persons)
    # An empty dict makes it a batch for every service, with whatever it has no other personal data.
    return fields | {"merge_data": {}, "as_persons": persons, "as_headers": headers}, size


def _alone(prepared: PreparedEmail, service: Service, person: Entry, call_id: str) -> tuple[dict[str, Any], int]:
    parts = {part: fill(prepared.segments[part], person.values) for part in PARTS}
    fields: dict[str, Any] = {
        **parts,
        "sender": prepared.email.sender,
        "reply_to": prepared.email.reply_to,
        "to": [person.address],
        "headers": dict(merged(prepared.email.headers, person.headers)),
    }
    if service.tag_field:
        fields["tags"] = [f"{person.tag}.{call_id}"]
    else:
        fields["metadata"] = {"m": person.tag, "c": call_id}
    return fields, sum(map(len, parts.values()))


def _values(prepared: PreparedEmail, filled: Filled, person: Entry) -> dict[str, str]:
    lacking = [name for pieces in prepared.segments.values() for name in pieces[1::2] if name not in person.values]
    if lacking:
        raise PermanentError(f"no value for the slot {lacking[0]!r}")
    values = dict(person.values)
    if prepared.has_opening:
        values[OPENING_SLOT] = filled.opening
    if filled.most_value_bytes and sum(len(value.encode()) for value in values.values()) > filled.most_value_bytes:
        raise PermanentError(
            f"{person.address.rpartition('@')[2]}: values of more than {filled.most_value_bytes} bytes"
        )
    return values


def _in_notation(pieces: Sequence[str], filled: Filled) -> tuple[str, bool]:
    """A part in the service's notation; what would begin a placeholder there comes out of a slot of its own."""
    opening = filled.placeholder.format(OPENING_SLOT)
    found = any(filled.opening in piece for piece in pieces[::2])
    written = [
        filled.placeholder.format(piece) if index % 2 else piece.replace(filled.opening, opening)
        for index, piece in enumerate(pieces)
    ]
    return "".join(written), found
