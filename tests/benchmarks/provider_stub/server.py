"""A selector loop: one thread, no callbacks between a socket's bytes and the answer.

asyncio's transports and handles would cost 60 µs per call, more than all the rest.
"""

from __future__ import annotations

import heapq
import itertools
import selectors
import socket
import time
from contextlib import suppress

from tests.benchmarks.provider_stub.service import Request, Service

BUFFER_BYTES = 1 << 18
HEAD_END = b"\r\n\r\n"


class Connection:
    """Bytes of one client that are not answered yet."""

    def __init__(self, client: socket.socket) -> None:
        self.socket = client
        self.buffer = bytearray(BUFFER_BYTES)
        self.used = 0
        self.is_busy = False
        self._head: tuple[str, str, dict[str, str], int, int] | None = None

    def receive(self) -> bool:
        """Read what has come; False when the client is gone."""
        if self.used == len(self.buffer):
            self.buffer.extend(bytes(len(self.buffer)))
        with memoryview(self.buffer) as view:
            try:
                count = self.socket.recv_into(view[self.used :])
            except BlockingIOError:
                return True
            except OSError:
                return False
        self.used += count
        return count > 0

    def request(self) -> Request | None:
        """The request in the buffer, once it is whole."""
        if self._head is None:
            position = self.buffer.find(HEAD_END, 0, self.used)
            if position < 0:
                return None
            self._head = _parse_head(bytes(self.buffer[:position]), position + len(HEAD_END))
        method, path, headers, start, end = self._head
        return Request(method, path, headers, self.buffer, start, end) if self.used >= end else None

    def send(self, answer: bytes) -> None:
        """Answer the request and forget it."""
        if self._head:
            end = self._head[-1]
            if self.used > end:
                self.buffer[: self.used - end] = self.buffer[end : self.used]
            self.used -= end
        self._head = None
        self.is_busy = False
        with suppress(OSError):  # the client may have given up waiting
            sent = self.socket.send(answer)
            if sent < len(answer):
                self.socket.settimeout(5)
                self.socket.sendall(answer[sent:])
                self.socket.settimeout(0)


class Server:
    """Serves until `stop` is called from a signal handler."""

    def __init__(self, listener: socket.socket, service: Service) -> None:
        self._service = service
        self._listener = listener
        self._listener.settimeout(0)
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._order = itertools.count()
        self._due: list[tuple[float, int, Connection, bytes]] = []
        self._stopped = False

    def stop(self) -> None:
        """End the loop within a quarter of a second."""
        self._stopped = True

    def close(self) -> None:
        """Close every socket."""
        for key in list(self._selector.get_map().values()):
            socket.socket.close(key.fileobj)  # type: ignore[arg-type] # only sockets are registered
        self._selector.close()

    def run(self) -> None:
        """Accept, read, answer."""
        while not self._stopped:
            wait = min(0.25, max(0.0, self._due[0][0] - time.monotonic())) if self._due else 0.25
            for key, _ in self._selector.select(wait):
                if key.data is None:
                    self._accept()
                else:
                    self._read(key.data)
            while self._due and self._due[0][0] <= time.monotonic():
                _, _, connection, answer = heapq.heappop(self._due)
                self._reply(connection, answer)

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            client, _ = self._listener.accept()
            client.settimeout(0)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(client, selectors.EVENT_READ, Connection(client))

    def _read(self, connection: Connection) -> None:
        if not connection.receive():
            self._selector.unregister(connection.socket)
            connection.socket.close()
            if connection.is_busy:
                connection.is_busy = False
                self._service.record.in_flight -= 1
            return
        if not connection.is_busy and connection.used:
            connection.is_busy = True
            self._service.record.begin()
        request = connection.request()
        if request is None:
            return
        answer, is_delayed = self._service.answer(request)
        latency = self._service.settings.latency_ms / 1000 if is_delayed else 0
        if latency:
            heapq.heappush(self._due, (time.monotonic() + latency, next(self._order), connection, answer))
        else:
            self._reply(connection, answer)

    def _reply(self, connection: Connection, answer: bytes) -> None:
        if connection.is_busy:
            self._service.record.in_flight -= 1
        connection.send(answer)


def _parse_head(head: bytes, start: int) -> tuple[str, str, dict[str, str], int, int]:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in [line.partition(":") for line in lines]}
    return method, path, headers, start, start + int(headers.get("content-length", "0"))
