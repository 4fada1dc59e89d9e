"""A keep-alive pool that knows whether a request was handed over, and never sends one twice.

http.client and urllib3 hide the moment that decides everything here: before the last byte of a request is in the
socket's hands, nothing can have been sent; after it, only an answer tells.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

from delivery.providers.ses.answers import Answer, BrokenAnswerError, read_answer


class NotHandedOverError(Exception):
    """The request did not reach the server whole: name, connection, TLS, or an error while writing."""


class AnswerLostError(Exception):
    """The request was handed over whole and no readable answer came back."""


@dataclass(slots=True)
class Connection:
    """An open socket, the poll object that watches it, and when it was last used (monotonic)."""

    socket: socket.socket
    poller: select.poll
    used_at: float

    def is_reusable(self, max_idle_seconds: float) -> bool:
        """Whether it is fresh and quiet: a readable idle connection was closed by the server, or is out of step."""
        return time.monotonic() - self.used_at < max_idle_seconds and not self.poller.poll(0)


class ConnectionPool:
    """Connections to one host, used by any number of threads; opened on demand, the warmest first.

    max_idle_seconds must be below the server's own idle limit, or requests race with its closing.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        use_tls: bool,
        connect_timeout_seconds: float,
        read_timeout_seconds: float,
        max_idle_seconds: float,
    ) -> None:
        self._address = (host, port)
        self._use_tls = use_tls
        self._connect_timeout_seconds = connect_timeout_seconds
        self._read_timeout_seconds = read_timeout_seconds
        self._max_idle_seconds = max_idle_seconds
        self._tls: ssl.SSLContext | None = None
        self._idle: deque[Connection] = deque()
        self._pid = os.getpid()

    def exchange(self, request: bytes) -> Answer:
        """Send one whole request, head included, and read its answer. Raises NotHandedOverError, AnswerLostError."""
        try:
            connection = self._take() or self._open()
        except (OSError, ValueError) as error:  # ValueError: a host name that IDNA or TLS refuses
            raise NotHandedOverError(_reason(error)) from error
        keep = False
        try:
            try:
                connection.socket.sendall(request)
            except OSError as error:
                raise NotHandedOverError(_reason(error)) from error
            try:
                answer, keep = read_answer(connection.socket, self._read_timeout_seconds)
            except (OSError, BrokenAnswerError) as error:
                raise AnswerLostError(_reason(error)) from error
            return answer
        finally:
            if keep:
                self._give_back(connection)
            else:
                connection.socket.close()

    def close(self) -> None:
        """Close the idle connections. The pool may be used again."""
        while self._idle:
            self._idle.pop().socket.close()

    def _take(self) -> Connection | None:
        if self._pid != os.getpid():
            # A forked child must not write into its parent's connections; closing its copies does not disturb them.
            self.close()
            self._pid = os.getpid()
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.is_reusable(self._max_idle_seconds):
                return connection
            connection.socket.close()

    def _give_back(self, connection: Connection) -> None:
        now = connection.used_at = time.monotonic()
        self._idle.append(connection)
        # The last given is the first taken, so what a burst opened grows old at the other end.
        with suppress(IndexError):  # another thread may have taken it since
            while now - self._idle[0].used_at > self._max_idle_seconds:
                self._idle.popleft().socket.close()

    def _open(self) -> Connection:
        plain = socket.create_connection(self._address, timeout=self._connect_timeout_seconds)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            opened = self._context().wrap_socket(plain, server_hostname=self._address[0]) if self._use_tls else plain
        except BaseException:
            plain.close()
            raise
        opened.settimeout(self._read_timeout_seconds)
        poller = select.poll()
        poller.register(opened, select.POLLIN)
        return Connection(opened, poller, time.monotonic())

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            context = ssl.create_default_context()
            context.set_alpn_protocols(["http/1.1"])
            self._tls = context
        return self._tls


def _reason(error: Exception) -> str:
    return "timed out" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
