"""Signed-in connections that are kept: opened on demand, used by one thread at a time, the warmest first."""

from __future__ import annotations

import os
import select
import smtplib
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from delivery.providers.smtp.replies import MAIL, Reply, judge
from delivery.providers.verdicts import CREDENTIALS, SETTINGS, THROTTLED, UNREACHABLE, Verdict


class Backend(Protocol):
    """What is used of Django's SMTP backend."""

    connection: smtplib.SMTP | None

    def close(self) -> None: ...


class OpeningFailedError(Exception):
    """No connection could be had; nothing was sent. `verdict` is what that means for who was to be sent to."""

    def __init__(self, verdict: Verdict, text: str) -> None:
        super().__init__(text)
        self.verdict = verdict


@dataclass(slots=True)
class Session:
    """An open connection, when it was last used (monotonic), and how many messages went over it."""

    backend: Backend
    smtp: smtplib.SMTP
    poller: select.poll
    used_at: float = field(default_factory=time.monotonic)
    messages: int = 0

    @property
    def socket(self) -> socket.socket:
        """The socket. Raises OSError when the connection is closed."""
        if self.smtp.sock is None:
            raise OSError("the connection is closed")
        return self.smtp.sock

    def is_reusable(self, max_idle_seconds: float) -> bool:
        """Whether it is fresh and quiet: a readable idle connection was closed, or says that it is about to be."""
        return time.monotonic() - self.used_at < max_idle_seconds and not self.poller.poll(0)

    def discard(self) -> None:
        """Close without a word."""
        self.smtp.close()


class SessionPool:
    """The sessions of one account. Never shared with a forked child."""

    def __init__(self, open_backend: Callable[[], Backend], *, max_idle_seconds: float) -> None:
        self._open_backend = open_backend
        self._max_idle_seconds = max_idle_seconds
        self._idle: deque[Session] = deque()
        self._pid = os.getpid()

    def take(self) -> Session:
        """A kept session that still stands, or a new one. Raises OpeningFailedError."""
        if self._pid != os.getpid():
            self._idle = deque()
            self._pid = os.getpid()
        with suppress(IndexError):
            while True:
                session = self._idle.pop()
                if session.is_reusable(self._max_idle_seconds):
                    return session
                session.discard()
        return self.open()

    def open(self) -> Session:
        """A new session. Raises OpeningFailedError."""
        try:
            backend = self._open_backend()
            if backend.connection is not None:
                backend.connection.ehlo_or_helo_if_needed()  # Django leaves it to the first message
        except (OSError, smtplib.SMTPException, ValueError) as error:  # ValueError: a host name that IDNA refuses
            raise OpeningFailedError(opening_verdict(error), str(error) or type(error).__name__) from error
        if backend.connection is None or backend.connection.sock is None:
            raise OpeningFailedError(UNREACHABLE, "no connection")
        plain = backend.connection.sock
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poller = select.poll()
        poller.register(plain, select.POLLIN)
        return Session(backend, backend.connection, poller)

    def give_back(self, session: Session) -> None:
        """Keep a session that is ready for another message."""
        session.used_at = time.monotonic()
        self._idle.append(session)
        with suppress(IndexError):  # another thread may have taken it since
            while session.used_at - self._idle[0].used_at > self._max_idle_seconds:
                self._idle.popleft().discard()

    def close(self) -> None:
        """Say goodbye on every idle connection. The pool may be used again."""
        while self._idle:
            session = self._idle.pop()
            with suppress(OSError, smtplib.SMTPException):
                session.backend.close()


def opening_verdict(error: Exception) -> Verdict:
    """What a failed connection, encryption or sign-in means."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return CREDENTIALS if error.smtp_code >= 500 else UNREACHABLE
    if isinstance(error, smtplib.SMTPNotSupportedError | ssl.SSLCertVerificationError):
        return SETTINGS
    if isinstance(error, smtplib.SMTPResponseException) and error.smtp_code > 0:
        text = error.smtp_error if isinstance(error.smtp_error, str) else error.smtp_error.decode("utf-8", "replace")
        verdict = judge(Reply(MAIL, error.smtp_code, text))
        if verdict is THROTTLED:
            return verdict
        return SETTINGS if error.smtp_code >= 500 else UNREACHABLE
    return UNREACHABLE
