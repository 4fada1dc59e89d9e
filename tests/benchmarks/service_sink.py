"""A sending service that takes everything: Mailgun's and Postmark's answers, in a process of its own.

Run by `ServiceSink`; prints its port.
"""

from __future__ import annotations

import signal
import socketserver
import subprocess
import sys
from contextlib import suppress
from types import TracebackType

import orjson

from tests.benchmarks.harness import PROJECT

QUEUED = b'{"id": "<1@northwind.example>", "message": "Queued. Thank you."}'


class Session(socketserver.StreamRequestHandler):
    """One connection, kept."""

    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Answer requests until the client is gone."""
        with suppress(ConnectionError):
            while first := self.rfile.readline():
                length = 0
                while (line := self.rfile.readline().lower()) not in (b"\r\n", b""):
                    if line.startswith(b"content-length:"):
                        length = int(line.partition(b":")[2])
                body = self.rfile.read(length)
                answer = self._batch(body) if b"/email" in first else QUEUED
                head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n\r\n"
                self.wfile.write(head.encode() + answer)

    def _batch(self, body: bytes) -> bytes:
        asked = orjson.loads(body)
        told = [
            {"ErrorCode": 0, "Message": "OK", "MessageID": "1", "To": one["To"]}
            for one in (asked if isinstance(asked, list) else [asked])
        ]
        return orjson.dumps(told if isinstance(asked, list) else told[0])


class ServiceSink:
    """A running sink; use it in a `with` statement."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.service_sink"]
        self._process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def __enter__(self) -> ServiceSink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(10)
        if self._process.stdout:
            self._process.stdout.close()


def main() -> None:
    """Print the port, then serve until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
        server.daemon_threads = True
        print(server.server_address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
