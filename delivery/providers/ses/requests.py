"""Request bodies: SendBulkEmail for several recipients, SendEmail for one.

Only the bulk call takes fifty recipients; only SendEmail is free of the request-a-second throttle that SES puts on
its other operations (https://docs.aws.amazon.com/ses/latest/dg/quotas.html#quotas-other) and names a refusal by a
typed exception. So transactional mail, test sends, single retries and the probes after an outage go by SendEmail.

Everything that the recipients share is encoded, and hashed for the signature, once per email: of a call with fifty
recipients that leaves only their own data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parseaddr
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

import orjson

from delivery.providers.base import Entry, OutgoingEmail, PermanentError
from delivery.providers.ses import limits

if TYPE_CHECKING:
    from hashlib import _Hash

BULK_PATH = "/v2/email/outbound-bulk-emails"
SINGLE_PATH = "/v2/email/outbound-emails"

# {"Destination":{"ToAddresses":[""]},"ReplacementEmailContent":{…},"ReplacementTags":[…],"ReplacementHeaders":[…]},
ENTRY_BYTES = 220
HEADER_BYTES = 24

Json = dict[str, object]


class Prefix(NamedTuple):
    """Shared beginning of a body and its running hash."""

    text: bytes
    hash: _Hash


class Body(NamedTuple):
    """A whole body in parts, its SHA-256 in hex, and its length in bytes."""

    parts: tuple[bytes, ...]
    payload_hash: str
    size: int


@dataclass(frozen=True, slots=True)
class PreparedEmail:
    """What all calls of an email share. `size` is the bytes it adds to each call."""

    sender: str
    bulk: Prefix
    single: Prefix
    tags: tuple[Json, ...]
    headers: tuple[tuple[str, str], ...]
    header_names: frozenset[str]

    @property
    def size(self) -> int:
        """Bytes of the shared part on the wire."""
        return len(self.bulk.text)


def prepare_email(email: OutgoingEmail, names: limits.KnownHeaderNames) -> PreparedEmail:
    """Check and encode what all recipients share. Raises PermanentError."""
    header_names = limits.check_email(email, names)
    content = _encode({"Subject": email.subject, **_parts(email)})
    if len(content) > limits.TEMPLATE_BYTES:
        raise PermanentError(f"content of {len(content)} bytes: SES takes {limits.TEMPLATE_BYTES} in a request")
    envelope: Json = {"FromEmailAddress": email.sender}
    if email.reply_to:
        envelope["ReplyToAddresses"] = email.reply_to
    if email.configuration_set:
        envelope["ConfigurationSetName"] = email.configuration_set
    tags = tuple(_tag(name, value) for name, value in email.tags)
    head = _encode(envelope)[:-1]
    shared = b'"TemplateContent":%b,"TemplateData":"{}","Headers":%b}}' % (content, _encode(_headers(email.headers)))
    # The call's tag comes last, so that the list may be left open and the call id follows.
    open_tags = _encode([*tags, _tag(limits.CALL_TAG, "")])[: -len(b'"}]')]
    return PreparedEmail(
        sender=parseaddr(email.sender)[1],
        bulk=_prefix(b'%b,"DefaultContent":{"Template":{%b,"DefaultEmailTags":%b"' % (head, shared, open_tags)),
        single=_prefix(b'%b,"Content":{"Template":{"TemplateContent":%b,' % (head, content)),
        tags=tags,
        headers=email.headers,
        header_names=header_names,
    )


def entry_size(entry: Entry) -> int:
    """Bytes that an entry adds to a bulk call; its values travel as JSON within JSON."""
    try:
        data = orjson.dumps(entry.values)
    except orjson.JSONEncodeError:
        return ENTRY_BYTES  # building the call names the trouble
    size = ENTRY_BYTES + len(entry.address) + len(entry.tag) + len(data) + data.count(b'"') + data.count(b"\\")
    for name, value in entry.headers:
        # Of a legal value, quotes and backslashes grow to two bytes.
        size += len(name) + len(value) + value.count('"') + value.count("\\") + HEADER_BYTES
    return size


def build_bulk(email: PreparedEmail, entries: Sequence[Entry], call_id: str) -> Body:
    """Encode a SendBulkEmail body. Raises PermanentError when a value breaks a limit."""
    recipients = [
        {
            "Destination": {"ToAddresses": (entry.address,)},
            "ReplacementEmailContent": {"ReplacementTemplate": {"ReplacementTemplateData": data}},
            "ReplacementTags": (_tag(limits.MESSAGE_TAG, entry.tag),),
            "ReplacementHeaders": _headers(entry.headers),
        }
        for entry, data in zip(entries, _all_data(entries), strict=True)
    ]
    return _body(email.bulk, b'%b"}],"BulkEmailEntries":%b}' % (call_id.encode(), _encode(recipients)))


def build_single(email: PreparedEmail, entry: Entry, call_id: str) -> Body:
    """Encode a SendEmail body for one recipient. Raises PermanentError when a value breaks a limit."""
    own = {name.lower() for name, _ in entry.headers}
    headers = [header for header in email.headers if header[0].lower() not in own]
    tags = [*email.tags, _tag(limits.CALL_TAG, call_id), _tag(limits.MESSAGE_TAG, entry.tag)]
    rest = _encode(
        {"TemplateData": _all_data((entry,))[0], "Headers": _headers((*headers, *entry.headers))},
    )
    destination = _encode({"Destination": {"ToAddresses": (entry.address,)}, "EmailTags": tags})
    return _body(email.single, b"%b},%b" % (rest[1:], destination[1:]))


def _all_data(entries: Sequence[Entry]) -> list[str]:
    result = []
    for place, entry in enumerate(entries, start=1):
        try:
            data = orjson.dumps(entry.values).decode()
            limits.check_data(data)
        except orjson.JSONEncodeError as error:
            raise PermanentError(f"entry {place}: a value cannot be encoded: {error}") from error
        except PermanentError as error:
            raise PermanentError(f"entry {place}: {error}") from error
        result.append(data)
    return result


def _parts(email: OutgoingEmail) -> dict[str, str]:
    return {name: text for name, text in (("Html", email.html), ("Text", email.text)) if text}


def _tag(name: str, value: str) -> Json:
    return {"Name": name, "Value": value}


def _headers(headers: Sequence[tuple[str, str]]) -> list[Json]:
    return [{"Name": name, "Value": value} for name, value in headers]


def _encode(value: object) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise PermanentError(f"content cannot be encoded: {error}") from error


def _prefix(text: bytes) -> Prefix:
    return Prefix(text, sha256(text))


def _body(prefix: Prefix, rest: bytes) -> Body:
    digest = prefix.hash.copy()
    digest.update(rest)
    return Body((prefix.text, rest), digest.hexdigest(), len(prefix.text) + len(rest))
