"""A way to a service that can be shut, or swallow whatever goes in: a service that is down, and one that hangs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHUNK = 65_536


class Passage:
    """A port of its own that leads to a service. open: as if it were not there."""

    def __init__(self, host: str, port: int) -> None:
        self._service = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._is_shut = False
        self._may_pass = threading.Event()
        self._may_pass.set()
        self._ends: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def open(self) -> None:
        self._is_shut = False
        self._may_pass.set()

    def shut(self) -> None:
        """Connections end, and new ones end at once."""
        self._is_shut = True
        self._cut()

    def swallow(self) -> None:
        """Connections stay, are taken as ever, and nothing comes back."""
        self._may_pass.clear()

    def close(self) -> None:
        self._listener.close()
        self._may_pass.set()
        self._cut()

    def _cut(self) -> None:
        for end in list(self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            if self._is_shut:
                client.close()
                continue
            with suppress(OSError):
                service = socket.create_connection(self._service)
                self._ends |= {client, service}
                for source, sink in ((client, service), (service, client)):
                    threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                self._may_pass.wait()
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()
        self._ends.discard(source)


@contextmanager
def passage(host: str, port: int) -> Iterator[Passage]:
    made = Passage(host, port)
    try:
        yield made
    finally:
        made.close()
