"""Understanding send calls: whose they are and what they carry, at the least cost.

Calls of one mailout start with the same 30 KB of template. That part is parsed and hashed when it is new and
compared, byte by byte, ever after; what differs from call to call is hashed every time. The recipients are cut out
of the text at the JSON that must stand between their address, data and tag; every sixteenth call, and each that does
not look like that, is parsed in full instead, and both ways must agree on what they find.
"""

from __future__ import annotations

from base64 import b64decode
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
LEAST_CONTENT = 100
NO_CONTENT = "an email without content"
ADDRESS_STARTS = b'{"Destination":{"ToAddresses":["'
DATA_STARTS = b'"]},"ReplacementEmailContent":{"ReplacementTemplate":{"ReplacementTemplateData":"'
TAG_STARTS = b'"}},"ReplacementTags":[{"Name":"m","Value":"'
TAG_ENDS = b'"'


class MalformedError(Exception):
    """The body is not the call that its path says."""


class Recipients(NamedTuple):
    """Parallel lists, one item per recipient, each as it stands between quotes in JSON; and the body's SHA-256.

    Without a tag the address stands for it. An email that came whole has no data.
    """

    addresses: list[bytes]
    data: list[bytes]
    tags: list[bytes]
    payload_hash: str


class CallReader:
    """Reads bodies from a buffer. Remembers the beginnings of the last emails, and the names of stored templates."""

    def __init__(self) -> None:
        self._templates: set[str] = set()
        self._prefixes: list[tuple[bytes, _Hash]] = []
        self._calls = 0

    def bulk(self, buffer: bytearray, start: int, end: int) -> Recipients:
        """Read SendBulkEmail. Raises MalformedError."""
        split = buffer.find(BULK_SPLIT, start, end)
        try:
            if split <= start or buffer[split - 1] != COMMA or buffer.find(ENTRIES, split, end) < 0:
                document, digest = self._whole(buffer, start, end)
                self._check_template(document["DefaultContent"]["Template"])
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
        """Read SendEmail with a template, or with a message that is already put together. Raises MalformedError."""
        try:
            document, digest = self._whole(buffer, start, end)
            data = self._data(document["Content"])
            (address,) = document["Destination"]["ToAddresses"]
            tags = {tag["Name"]: tag["Value"] for tag in document.get("EmailTags", ())}
            tag = quoted_json(tags.get("m", address))
            return Recipients([quoted_json(address)], data, [tag], digest.hexdigest())
        except (ValueError, KeyError, TypeError) as error:
            raise MalformedError(str(error)) from error

    def template(self, buffer: bytearray, start: int, end: int) -> str:
        """Read CreateEmailTemplate and remember its name; the body's SHA-256. Raises MalformedError."""
        try:
            document, digest = self._whole(buffer, start, end)
            self._check_template(document)
            self._templates.add(document["TemplateName"])
        except (ValueError, KeyError, TypeError) as error:
            raise MalformedError(str(error)) from error
        return digest.hexdigest()

    def _data(self, content: Json) -> list[bytes]:
        if "Raw" not in content:
            self._check_template(content["Template"])
            return [quoted_json(content["Template"]["TemplateData"])]
        if len(b64decode(content["Raw"]["Data"], validate=True)) < LEAST_CONTENT:
            raise ValueError(NO_CONTENT)
        return []

    def _check_template(self, template: Json) -> None:
        if "TemplateContent" not in template and template["TemplateName"] in self._templates:
            return
        content = template["TemplateContent"]
        if not content["Subject"] or len(content.get("Html", "") + content.get("Text", "")) < LEAST_CONTENT:
            raise ValueError(NO_CONTENT)

    def _whole(self, buffer: bytearray, start: int, end: int) -> tuple[Json, _Hash]:
        with memoryview(buffer) as view:
            return orjson.loads(view[start:end]), sha256(view[start:end])

    def _prefix_hash(self, buffer: bytearray, start: int, split: int) -> _Hash:
        for prefix, digest in self._prefixes:
            if len(prefix) == split - start and buffer.startswith(prefix, start):
                return digest
        prefix = bytes(buffer[start:split])
        self._check_template(orjson.loads(prefix.rstrip(b",") + b"}")["DefaultContent"]["Template"])
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
        [quoted_json(_tag(entry)) for entry in entries],
    )


def _tag(entry: Json) -> str:
    tags = entry.get("ReplacementTags")
    tag: str = tags[0]["Value"] if tags else entry["Destination"]["ToAddresses"][0]
    return tag
