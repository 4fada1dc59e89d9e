"""What a stub took in, whatever the service: one record per message."""

from __future__ import annotations

from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass
class Received:
    """One message as its reader would get it. tags: what comes back with events, `m` and `c`."""

    to: str
    subject: str
    html: str
    text: str
    headers: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


def from_mime(recipient: str, raw: bytes) -> Received:
    """Read a message from the wire."""
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    assert message["To"] == recipient
    html, text = message.get_body(("html",)), message.get_body(("plain",))
    tags = dict(pair.strip().split("=") for pair in message["X-AmazonSender"].split(";"))
    return Received(
        recipient,
        message["Subject"],
        _unix(html.get_content()) if html else "",
        _unix(text.get_content()) if text else "",
        {name: str(value) for name, value in message.items()},
        tags,
    )


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n").removesuffix("\n")
