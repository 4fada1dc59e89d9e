"""The provider stub's counterpart for SMTP: takes every message and counts its recipients in a record of its own.

Run by `SmtpSink`. Beside SMTP's commands it knows XSTATS and XRESET.
"""

from __future__ import annotations

import re
import signal
import smtplib
import socketserver
import subprocess
import sys
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any

import orjson

from tests.benchmarks.harness import PROJECT
from tests.benchmarks.provider_stub.record import Record

TOLD = ("recipients", "people", "bytes", "malformed", "bad_signatures", "first_at", "last_at")
MAILBOX = re.compile(rb"<([^>]+)>")


class Sink(socketserver.ThreadingTCPServer):
    """Any number of connections, one record."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Session)
        self.lock = threading.Lock()
        self.record = Record()


class Session(socketserver.StreamRequestHandler):
    """One connection."""

    server: Sink
    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Answer commands until QUIT or until the client is gone."""
        with suppress(ConnectionError):
            self._converse()

    def _converse(self) -> None:
        recipients: list[bytes] = []
        self._answer(b"220 sink ESMTP")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"EHLO":
                self._answer(b"250-sink\r\n250 8BITMIME")
            elif verb == b"RCPT":
                recipients += MAILBOX.findall(line)
                self._answer(b"250 OK")
            elif verb == b"DATA":
                self._answer(b"354 Go on")
                size = self._receive()
                if size is None:
                    return
                with self.server.lock:
                    self.server.record.accept(recipients, (), recipients, size)
                recipients = []
                self._answer(b"250 OK")
            elif verb == b"QUIT":
                self._answer(b"221 Bye")
                return
            elif line.upper().startswith((b"XSTATS", b"XRESET")):
                self._answer(b"250 " + self._control(verb))
            else:
                self._answer(b"250 OK")

    def _receive(self) -> int | None:
        """Read a message; its bytes, or None when it was cut off and is not taken."""
        size = 0
        while line := self.rfile.readline():
            if line == b".\r\n":
                return size
            size += len(line)
        return None

    def _control(self, verb: bytes) -> bytes:
        with self.server.lock:
            if verb == b"XRES":
                self.server.record = Record()
            stats = self.server.record.stats()
        # An answer of SMTP is a line of limited length.
        return orjson.dumps({name: stats[name] for name in TOLD})

    def _answer(self, line: bytes) -> None:
        self.wfile.write(line + b"\r\n")


class SmtpSink:
    """A running sink; use it in a `with` statement."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.rivals.smtp_sink"]
        self._process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self._client = smtplib.SMTP("127.0.0.1", self.port)

    def stats(self) -> dict[str, Any]:
        """The same figures as the provider stub's, those that are told; see Record.stats."""
        document: dict[str, Any] = orjson.loads(self._client.docmd("XSTATS")[1])
        return document

    def reset(self) -> None:
        """Start counting from zero."""
        self._client.docmd("XRESET")

    def __enter__(self) -> SmtpSink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
        self._process.terminate()
        self._process.wait(10)
        if self._process.stdout:
            self._process.stdout.close()


def main() -> None:
    """Print the port, then serve until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with Sink() as sink:
        print(sink.server_address[1], flush=True)
        sink.serve_forever()


if __name__ == "__main__":
    main()
