"""An HTTP server on loopback that answers as a sending service does, or fails as one; real sockets, real clients."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from tests.delivery.providers.contract.received import Received


class Request(NamedTuple):
    """One request as it came. Header names are in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    """An answer of a service."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class HttpStub(ThreadingHTTPServer):
    """read: what a request asks to be sent. answer: what the service says to a mode ("accept", "throttle", …).

    Modes that need no service: "cut" reads the request and closes, "wait" never answers, "close_idle" answers and closes.
    """

    daemon_threads = True

    def __init__(
        self, read: Callable[[Request], list[Received]], answer: Callable[[str, list[Received]], Answer]
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.read = read
        self.answer = answer
        self.mode = "accept"
        self.requests: list[Request] = []
        self.received: list[Received] = []
        self.connections = 0
        self.released = threading.Event()
        self.closed_one = threading.Event()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.closed_one.set()

    def stop(self) -> None:
        """Let waiting requests end."""
        self.released.set()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: HttpStub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_GET(self) -> None:
        self._answer(Answer(200, b"{}"))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = Request(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        self.server.requests.append(request)
        mode = self.server.mode
        if mode in ("cut", "wait"):
            self.close_connection = True
            if mode == "wait":
                self.server.released.wait(10)
            return
        messages = self.server.read(request)
        answer = self.server.answer("accept" if mode == "close_idle" else mode, messages)
        if 200 <= answer.status < 300:
            self.server.received += messages
        self.close_connection = mode == "close_idle"
        self._answer(answer)

    def _answer(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in (("Content-Type", "application/json"), *answer.headers):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""
