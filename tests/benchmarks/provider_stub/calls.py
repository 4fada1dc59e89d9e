"""Understanding send calls: whose they are and what they carry, at the least cost.

Calls of one mailout start with the same 30 KB of template. That part is parsed and hashed when it is new and
compared, byte by byte, ever after; what differs from call to call is hashed every time. The recipients are cut out
of the text at the JSON that must stand between their address, data and tag; every sixteenth call, and each that does
not look like that, is parsed in full instead, and both ways must agree on what they find.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

if TYPE_CHECKING:
    from hashlib import _Hash

Json = dict[str, Any]

PREFIXES = 8
PARSED_EVERY = 16
BULK_SPLIT = b'"DefaultEmailTags"'
ENTRIES = b'"BulkEmailEntries"'
COMMA = ord(",")
ADDRESS_STARTS = b'{"Destination":{"ToAddresses":["'
DATA_STARTS = b'"]},"ReplacementEmailContent":{"ReplacementTemplate":{"ReplacementTemplateData":"'
TAG_STARTS = b'"}},"ReplacementTags":[{"Name":"m","Value":"'
TAG_ENDS = b'"'


class MalformedError(Exception):
    """The body is not the call that its path says."""


class Recipients(NamedTuple):
    """Parallel lists, one item per recipient, each as it stands between quotes in JSON; and the body's SHA-256."""

    addresses: list[bytes]
    data: list[bytes]
    tags: list[bytes]
    payload_hash: str


class CallReader:
    """Reads bodies from a buffer. Remembers the beginnings of the last emails."""

    def __init__(self) -> None:
        self._prefixes: list[tuple[bytes, _Hash]] = []
        self._calls = 0

    def bulk(self, buffer: bytearray, start: int, end: int) -> Recipients:
        """Read SendBulkEmail. Raises MalformedError."""
        split = buffer.find(BULK_SPLIT, start, end)
        try:
            if split <= start or buffer[split - 1] != COMMA or buffer.find(ENTRIES, split, end) < 0:
                document, digest = self._whole(buffer, start, end)
                _check_content(document)
                return Recipients(*_parsed(document), digest.hexdigest())
            digest = self._prefix_hash(buffer, start, split).copy()
            with memoryview(buffer) as view:
                rest = bytes(view[split:end])
            digest.update(rest)
            self._calls += 1
            found = _cut(rest)
            if found is None or self._calls % PARSED_EVERY == 1:
                parsed = _parsed(orjson.loads(b"{" + rest))
                if found not in (None, parsed):
                    raise MalformedError("cutting and parsing find different recipients")
                found = parsed
            return Recipients(*found, digest.hexdigest())
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise MalformedError(str(error)) from error

    def single(self, buffer: bytearray, start: int, end: int) -> Recipients:
        """Read SendEmail with a template. Raises MalformedError."""
        try:
            document, digest = self._whole(buffer, start, end)
            template = document["Content"]["Template"]
            _check_template(template)
            tags = {tag["Name"]: tag["Value"] for tag in document["EmailTags"]}
            (address,) = document["Destination"]["ToAddresses"]
            data, tag = quoted_json(template["TemplateData"]), quoted_json(tags["m"])
            return Recipients([quoted_json(address)], [data], [tag], digest.hexdigest())
        except (ValueError, KeyError, TypeError) as error:
            raise MalformedError(str(error)) from error

    def _whole(self, buffer: bytearray, start: int, end: int) -> tuple[Json, _Hash]:
        with memoryview(buffer) as view:
            return orjson.loads(view[start:end]), sha256(view[start:end])

    def _prefix_hash(self, buffer: bytearray, start: int, split: int) -> _Hash:
        for prefix, digest in self._prefixes:
            if len(prefix) == split - start and buffer.startswith(prefix, start):
                return digest
        prefix = bytes(buffer[start:split])
        _check_content(orjson.loads(prefix.rstrip(b",") + b"}"))
        digest = sha256(prefix)
        self._prefixes = [(prefix, digest), *self._prefixes[: PREFIXES - 1]]
        return digest


def quoted_json(text: str) -> bytes:
    """The text as it stands between the quotes of a JSON string."""
    return orjson.dumps(text)[1:-1]


def _cut(rest: bytes) -> tuple[list[bytes], list[bytes], list[bytes]] | None:
    """Find addresses, data and tags between the JSON around them; None when it is written in another way."""
    _, *entries = rest.split(ADDRESS_STARTS)
    addresses, data, tags = [], [], []
    for entry in entries:
        address, before_data, after_address = entry.partition(DATA_STARTS)
        values, before_tag, after_data = after_address.partition(TAG_STARTS)
        tag, after_tag, _ = after_data.partition(TAG_ENDS)
        if not (before_data and before_tag and after_tag):
            return None
        addresses.append(address)
        data.append(values)
        tags.append(tag)
    return (addresses, data, tags) if entries else None


def _parsed(document: Json) -> tuple[list[bytes], list[bytes], list[bytes]]:
    entries = document["BulkEmailEntries"]
    return (
        [quoted_json(entry["Destination"]["ToAddresses"][0]) for entry in entries],
        [
            quoted_json(entry["ReplacementEmailContent"]["ReplacementTemplate"]["ReplacementTemplateData"])
            for entry in entries
        ],
        [quoted_json(entry["ReplacementTags"][0]["Value"]) for entry in entries],
    )


def _check_content(document: Json) -> None:
    _check_template(document["DefaultContent"]["Template"])


def _check_template(template: Json) -> None:
    content = template["TemplateContent"]
    if not content["Subject"] or len(content.get("Html", "") + content.get("Text", "")) < 100:
        raise ValueError("an email without content")
