"""What the settings of the product's own mail mean: its backends, its sender, the address of an SMTP server."""

from __future__ import annotations

from email.utils import formataddr, parseaddr
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

BACKENDS: Final = {
    "ses": "django_ses.SESBackend",
    "local": "django_ses.SESBackend",
    "smtp": "django.core.mail.backends.smtp.EmailBackend",
    "console": "django.core.mail.backends.console.EmailBackend",
    "none": "django.core.mail.backends.dummy.EmailBackend",
}
DEFAULT_SENDER: Final = "AmazonSender <hello@amazonsender.example>"  # for Local SES and the console; refused elsewhere
_PORTS: Final = {"smtp": 587, "smtps": 465, "smtp+plain": 25}


class SmtpServer(NamedTuple):
    """Where and how to hand mail to a server, as Django's backend takes it."""

    host: str
    port: int
    username: str
    password: str
    use_starttls: bool
    use_tls: bool


def parse_smtp_url(url: str) -> SmtpServer:
    """Read `smtp://user:password@host:port`; "" is a server on this machine without a password."""
    parts = urlsplit(url or "smtp+plain://127.0.0.1")
    return SmtpServer(
        host=parts.hostname or "",
        port=parts.port or _PORTS[parts.scheme],
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        use_starttls=parts.scheme == "smtp",
        use_tls=parts.scheme == "smtps",
    )


def encoded_mailbox(text: str) -> str:
    """`Имя <a@b.c>` in ASCII, as SES wants it in its parameters; "" for what is no mailbox with an ASCII address."""
    name, address = parseaddr(text)
    local, _at, domain = address.rpartition("@")
    if not (local and "." in domain and address.isascii()):
        return ""
    return formataddr((name, address))
