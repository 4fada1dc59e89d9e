"""Emails as MIME: reading what came raw, and writing what was stored when somebody looks at it."""

from __future__ import annotations

import base64
import email
import email.policy
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, getaddresses

from localses import handlebars, limits
from localses.acceptance import Outgoing
from localses.errors import bad_request
from localses.model import Json
from localses.store import StoredMessage

# The harmless test string by which SES's documentation lets people see a Reject event.
_VIRUS = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
# Long headers stay whole: the standard library would wrap the addresses in them as encoded words.
_WIRE = email.policy.SMTP.clone(max_line_length=998)
_OVERWRITTEN = frozenset({"date", "message-id"})
_OWN_HEADERS = _OVERWRITTEN | {"x-ses-configuration-set", "x-ses-message-tags", "bcc"}


@dataclass(frozen=True, slots=True)
class Rendered:
    """An email as a reader would get it."""

    subject: str
    html: str
    text: str
    headers: list[tuple[str, str]]


def has_virus(body: bytes) -> bool:
    """Say whether the content holds the antivirus test string, plain or in base64."""
    return _VIRUS in body or base64.b64encode(_VIRUS)[:60] in body


def read_simple(params: Json, body: Json) -> Json:
    """Return the stored form of a Simple email. Raises BadRequestException without subject or body."""
    subject = body.get("Subject")
    parts = body.get("Body") or {}
    if not subject or not (parts.get("Html") or parts.get("Text")):
        raise bad_request("A simple email needs a subject, and HTML or text.")
    return {
        "kind": "simple",
        "from": params["FromEmailAddress"],
        "reply_to": params.get("ReplyToAddresses") or [],
        "subject": subject["Data"],
        "html": (parts.get("Html") or {}).get("Data", ""),
        "text": (parts.get("Text") or {}).get("Data", ""),
        "headers": body.get("Headers") or [],
        "attachments": body.get("Attachments") or [],
        "tags": params.get("EmailTags") or [],
    }


def read_raw(params: Json, data: str) -> tuple[Json, Outgoing, Json]:
    """Return the parameters completed by the raw email's headers, the email, and its stored form.

    Configuration set and tags in `X-SES-*` headers count where the call has none of its own.
    """
    try:
        raw = base64.b64decode(data, validate=True)
    except ValueError:
        raise bad_request("Raw.Data is not base64.") from None
    if any(len(line) > 1000 for line in raw.split(b"\n")):
        raise bad_request("A line of the raw message is longer than 1000 characters.")
    message = _parsed(raw)
    destination = params.get("Destination") or {}
    to = destination.get("ToAddresses") or _addresses(message, "To")
    cc = destination.get("CcAddresses") or ([] if destination else _addresses(message, "Cc"))
    bcc = destination.get("BccAddresses") or ([] if destination else _addresses(message, "Bcc"))
    completed = dict(params)
    completed.setdefault("FromEmailAddress", str(message["From"] or ""))
    if message["X-SES-CONFIGURATION-SET"]:
        completed.setdefault("ConfigurationSetName", str(message["X-SES-CONFIGURATION-SET"]))
    tags = params.get("EmailTags") or _header_tags(str(message["X-SES-MESSAGE-TAGS"] or ""))
    limits.check_tags(tags)
    outgoing = Outgoing(to=to, cc=cc, bcc=bcc, subject=str(message["Subject"] or ""), rejected=has_virus(raw))
    content = {"kind": "raw", "from": completed["FromEmailAddress"], "raw": data, "headers": [], "tags": tags}
    return completed, outgoing, content


def _parsed(raw: bytes) -> EmailMessage:
    return email.message_from_bytes(raw, policy=email.policy.default)


def _addresses(message: EmailMessage, name: str) -> list[str]:
    return [address for _, address in getaddresses([str(value) for value in message.get_all(name, [])]) if address]


def _header_tags(text: str) -> list[Json]:
    pairs = (part.partition("=") for part in text.split(",") if "=" in part)
    return [{"Name": name.strip(), "Value": value.strip()} for name, _, value in pairs]


def merged_headers(message: StoredMessage) -> list[tuple[str, str]]:
    """Return the sender's headers: those of the entry replace the call's of the same name."""
    own = {header["Name"].lower(): header for header in message.entry.get("headers", [])}
    shared = [own.pop(header["Name"].lower(), header) for header in message.content.get("headers", [])]
    return [(header["Name"], header["Value"]) for header in [*shared, *own.values()]]


def render(message: StoredMessage) -> Rendered:
    """Render a stored email. One that SES couldn't render shows its templates instead."""
    content = message.content
    own = [pair for pair in merged_headers(message) if pair[0].lower() not in _OVERWRITTEN]
    headers = _standard_headers(message) + own
    if content["kind"] == "raw":
        return _render_raw(message)
    if content["kind"] == "simple":
        subject, html, text = content["subject"], content["html"], content["text"]
    elif message["outcome"] == "rendering_failed":
        subject, html, text = content["subject"], "", content["text"] or content["html"]
    else:
        data = limits.template_data(message.entry.get("data")) or limits.template_data(content["data"])
        subject, html, text = (handlebars.parse(content[part]).render(data) for part in ("subject", "html", "text"))
    # SES puts its own pixel here, or nothing where it doesn't track.
    return Rendered(subject, html.replace("{{ses:openTracker}}", "", 1), text, headers)


def _standard_headers(message: StoredMessage) -> list[tuple[str, str]]:
    at = datetime.fromtimestamp(message["accepted_at"], UTC)
    headers = [("From", message.content["from"]), ("To", ", ".join(message.entry["to"]))]
    if cc := message.entry.get("cc"):
        headers.append(("Cc", ", ".join(cc)))
    if reply_to := message.content.get("reply_to"):
        headers.append(("Reply-To", ", ".join(reply_to)))
    headers.append(("Date", format_datetime(at)))
    headers.append(("Message-ID", f"<{message['message_id']}@email.amazonses.com>"))
    return headers


def _render_raw(message: StoredMessage) -> Rendered:
    parsed = _parsed(base64.b64decode(message.content["raw"]))
    bodies = {}
    for kind in ("html", "plain"):
        part = parsed.get_body((kind,))
        bodies[kind] = str(part.get_content()) if part is not None else ""
    replaced = [pair for pair in _standard_headers(message) if pair[0] in {"Date", "Message-ID"}]
    kept = [(name, str(value)) for name, value in parsed.items() if name.lower() not in _OWN_HEADERS]
    return Rendered(str(parsed["Subject"] or ""), bodies["html"], bodies["plain"], kept + replaced)


def as_mime(message: StoredMessage) -> bytes:
    """Write the email as it would travel."""
    rendered = render(message)
    if message.content["kind"] == "raw":
        return _raw_as_sent(message)
    built = _alternative(rendered.subject, rendered.text, rendered.html, rendered.headers)
    for attachment in message.content.get("attachments", []):
        kind, _, subtype = attachment.get("ContentType", "application/octet-stream").partition("/")
        built.add_attachment(
            base64.b64decode(attachment["RawContent"]),
            maintype=kind,
            subtype=subtype or "octet-stream",
            filename=attachment["FileName"],
        )
    return built.as_bytes(policy=_WIRE)


def _raw_as_sent(message: StoredMessage) -> bytes:
    parsed = email.message_from_bytes(base64.b64decode(message.content["raw"]), policy=email.policy.compat32)
    for name in _OWN_HEADERS:
        del parsed[name]
    for name, value in _standard_headers(message):
        if name.lower() in _OVERWRITTEN:
            parsed[name] = value
    return parsed.as_bytes()


def alternative(subject: str, text: str, html: str) -> bytes:
    """Write a message of these parts without an envelope."""
    return _alternative(subject, text, html, []).as_bytes(policy=_WIRE)


def _alternative(subject: str, text: str, html: str, headers: list[tuple[str, str]]) -> EmailMessage:
    built = EmailMessage(policy=email.policy.SMTP)
    built["Subject"] = subject
    for name, value in headers:
        del built[name]  # what comes later wins, as where SES overwrites
        built[name] = value
    if text:
        built.set_content(text, cte="quoted-printable")
    if html and text:
        built.add_alternative(html, subtype="html", cte="quoted-printable")
    elif html:
        built.set_content(html, subtype="html", cte="quoted-printable")
    return built
