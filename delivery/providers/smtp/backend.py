"""Django's SMTP backend, which knows how to connect, encrypt and sign in. The only module here that knows Django."""

from __future__ import annotations

from django.core.mail.backends.smtp import EmailBackend


def open_backend(
    *, host: str, port: int, username: str, password: str, security: str, timeout_seconds: float
) -> EmailBackend:
    """Connect and sign in. Raises OSError and smtplib's exceptions. timeout_seconds: of every step."""
    backend = EmailBackend(
        host=host,
        port=port,
        username=username,
        password=password,
        use_tls=security == "starttls",
        use_ssl=security == "tls",
        timeout=timeout_seconds,
        fail_silently=False,
    )
    backend.open()
    return backend
