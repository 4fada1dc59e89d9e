"""An HTTP server on loopback that does to each request what the test's script says, and remembers what came."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple


class Request(NamedTuple):
    """One request as it was read from the wire."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


# Returns whether the connection stays open for the next step.
Step = Callable[["ScriptedServer", socket.socket], bool]


class ScriptedServer:
    """Runs one step of the script per request or, for steps that do not read, per connection."""

    def __init__(self, steps: Iterable[Step], *, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self.released = threading.Event()
        self.closed_one = threading.Event()
        self._steps = deque(steps)
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def read_request(self, connection: socket.socket) -> Request:
        """Read one request whole; raises EOFError when the client went away instead."""
        data = b""
        while b"\r\n\r\n" not in data:
            part = connection.recv(65536)
            if not part:
                raise EOFError
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        while len(body) < int(headers.get("content-length", "0")):
            body += connection.recv(65536)
        request = Request(method, path, headers, body)
        self.requests.append(request)
        return request

    def stop(self) -> None:
        """Close the listener and let waiting steps end."""
        self.released.set()
        self._listener.close()

    def _serve(self) -> None:
        while self._steps:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                if self._tls:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                self._run(connection)
            except (OSError, EOFError):
                pass
            finally:
                connection.close()
                self.closed_one.set()

    def _run(self, connection: socket.socket) -> None:
        while self._steps:
            step = self._steps.popleft()
            try:
                if not step(self, connection):
                    return
            except EOFError:
                # The client took another connection; the step is still owed.
                self._steps.appendleft(step)
                return


def http_answer(status: int, document: Any, headers: str = "", *, body: bytes | None = None) -> bytes:
    """An HTTP answer with a JSON body."""
    body = json.dumps(document).encode() if body is None else body
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def answer(status: int, document: Any, headers: str = "", *, body: bytes | None = None) -> Step:
    """Read a request, answer it, keep the connection."""

    def step(server: ScriptedServer, connection: socket.socket) -> bool:
        server.read_request(connection)
        connection.sendall(http_answer(status, document, headers, body=body))
        return True

    return step


def answer_and_close(status: int, document: Any) -> Step:
    """Read a request, answer it as if the connection stayed open, and close it."""

    def step(server: ScriptedServer, connection: socket.socket) -> bool:
        server.read_request(connection)
        connection.sendall(http_answer(status, document))
        return False

    return step


def send_raw(data: bytes) -> Step:
    """Read a request, send these bytes, close."""

    def step(server: ScriptedServer, connection: socket.socket) -> bool:
        server.read_request(connection)
        connection.sendall(data)
        return False

    return step


def close_at_once(server: ScriptedServer, connection: socket.socket) -> bool:
    """Accept and close without reading anything."""
    return False


def read_then_close(server: ScriptedServer, connection: socket.socket) -> bool:
    """Read a request and close without an answer."""
    server.read_request(connection)
    return False


def read_then_wait(server: ScriptedServer, connection: socket.socket) -> bool:
    """Read a request and say nothing until the test is over."""
    server.read_request(connection)
    server.released.wait(10)
    return False


def drip(server: ScriptedServer, connection: socket.socket) -> bool:
    """Read a request and answer a byte at a time, without an end."""
    server.read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not server.released.wait(0.02):
        connection.sendall(b"X")
    return False
