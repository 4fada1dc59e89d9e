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
    """What all calls of an email share."""

    sender: str
    bulk: Prefix
    single: Prefix
    tags: tuple[Json, ...]
    headers: tuple[tuple[str, str], ...]
    header_sets: limits.HeaderSets


def prepare_email(email: OutgoingEmail) -> PreparedEmail:
    """Check and encode what all recipients share. Raises PermanentError."""
    shared = limits.check_email(email)
    parts = {name: text for name, text in (("Html", email.html), ("Text", email.text)) if text}
    content = _encode({"Subject": email.subject, **parts})
    if len(content) > limits.TEMPLATE_BYTES:
        raise PermanentError(f"content of {len(content)} bytes: SES takes {limits.TEMPLATE_BYTES} in a request")
    envelope: Json = {"FromEmailAddress": email.sender}
    if email.reply_to:
        envelope["ReplyToAddresses"] = email.reply_to
    if email.configuration_set:
        envelope["ConfigurationSetName"] = email.configuration_set
    tags = tuple(_tag(name, value) for name, value in email.tags)
    head = _encode(envelope)[:-1]
    template = b'"TemplateContent":%b,"TemplateData":"{}","Headers":%b}}' % (content, _encode(_headers(email.headers)))
    # The call's tag comes last, so that the list may be left open and the call id follows.
    open_tags = _encode([*tags, _tag(limits.CALL_TAG, "")])[: -len(b'"}]')]
    return PreparedEmail(
        sender=parseaddr(email.sender)[1],
        bulk=_prefix(b'%b,"DefaultContent":{"Template":{%b,"DefaultEmailTags":%b' % (head, template, open_tags)),
        single=_prefix(b'%b,"Content":{"Template":{"TemplateContent":%b,' % (head, content)),
        tags=tags,
        headers=email.headers,
        header_sets=limits.HeaderSets(shared),
    )


def build_bulk(email: PreparedEmail, entries: Sequence[Entry], call_id: str) -> Body:
    """Encode a SendBulkEmail body. Raises PermanentError when an entry breaks a limit."""
    limits.check_entries(entries, email.header_sets)
    recipients = [
        {
            "Destination": {"ToAddresses": (entry.address,)},
            "ReplacementEmailContent": {"ReplacementTemplate": {"ReplacementTemplateData": data}},
            "ReplacementTags": ({"Name": limits.MESSAGE_TAG, "Value": entry.tag},),
            "ReplacementHeaders": [{"Name": name, "Value": value} for name, value in entry.headers],
        }
        for entry, data in zip(entries, _data(entries), strict=True)
    ]
    return _body(email.bulk, b'%b"}],"BulkEmailEntries":%b}' % (call_id.encode(), _encode(recipients)))


def build_single(email: PreparedEmail, entry: Entry, call_id: str) -> Body:
    """Encode a SendEmail body for one recipient. Raises PermanentError when the entry breaks a limit."""
    limits.check_entries((entry,), email.header_sets)
    own = {name.lower() for name, _ in entry.headers}
    # As in a bulk call, a recipient's own header replaces the shared one of that name.
    headers = [header for header in email.headers if header[0].lower() not in own]
    rest = b'"TemplateData":%b,"Headers":%b}},"Destination":{"ToAddresses":[%b]},"EmailTags":%b}' % (
        _encode(_data((entry,))[0]),
        _encode(_headers((*headers, *entry.headers))),
        _encode(entry.address),
        _encode([*email.tags, _tag(limits.CALL_TAG, call_id), _tag(limits.MESSAGE_TAG, entry.tag)]),
    )
    return _body(email.single, rest)


def _data(entries: Sequence[Entry]) -> list[str]:
    """Slot values as SES takes them: a string that holds a JSON object."""
    try:
        data = [orjson.dumps(entry.values).decode() for entry in entries]
    except orjson.JSONEncodeError as error:
        raise PermanentError(f"a value cannot be encoded: {error}") from error
    limits.check_data(data)
    return data


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
