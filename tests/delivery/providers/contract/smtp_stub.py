"""An SMTP server on loopback that does to each message what the test says, and remembers what it took."""

from __future__ import annotations

import base64
import socketserver
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

# Given a step ("EHLO", "AUTH", "MAIL", "RCPT", "DATA", "END") and its argument: a reply, "cut" to close the connection,
# "wait" to say nothing until the end, or "" for the usual.
Rule = Callable[[str, str], str]
USUAL = {"MAIL": "250 2.1.0 Ok", "RCPT": "250 2.1.5 Ok", "DATA": "354 Go on", "RSET": "250 2.0.0 Ok", "NOOP": "250 Ok"}


class SmtpStub(socketserver.ThreadingTCPServer):
    """Any number of connections. `rule` may be changed at any time."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *, extensions: tuple[str, ...] = ("PIPELINING", "SIZE 10000000", "AUTH PLAIN")) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.extensions = extensions
        self.rule: Rule = lambda _step, _argument: ""
        self.messages: list[tuple[str, str, bytes]] = []  # sender, recipient, message without its dots
        self.handed_over = 0  # messages that came whole, taken or not
        self.steps: list[str] = []
        self.logins: list[str] = []
        self.connections = 0
        self.is_closing_idle = False
        self.released = threading.Event()
        self.closed_one = threading.Event()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.closed_one.set()

    def stop(self) -> None:
        """Let waiting sessions end."""
        self.released.set()
        self.shutdown()
        self.server_close()


class _Session(socketserver.StreamRequestHandler):
    server: SmtpStub
    disable_nagle_algorithm = True

    def handle(self) -> None:
        self.server.connections += 1
        with suppress(OSError):
            if self._say("HELLO", "", "220 stub ESMTP"):
                self._converse()

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()

    def _converse(self) -> None:
        sender = recipient = ""
        while line := self.rfile.readline().decode("ascii").rstrip("\r\n"):
            step, argument = line[:4].upper(), line[4:].strip()
            self.server.steps.append(step)
            if step == "QUIT":
                self._write("221 Bye")
                return
            if step == "EHLO":
                usual = "\r\n".join(["250-stub", *(f"250-{name}" for name in self.server.extensions), "250 HELP"])
            elif step == "AUTH":
                self.server.logins.append(base64.b64decode(argument.split()[-1]).decode())
                usual = "235 2.7.0 Welcome"
            else:
                usual = USUAL.get(step, "250 Ok")
            if step in ("MAIL", "RSET"):
                sender = recipient = ""
            if (step == "RCPT" and not sender) or (step == "DATA" and not recipient):
                usual = "503 5.5.1 Out of order"
            reply = self._reply(step, argument, usual)
            if not self._write(reply):
                return
            if step == "MAIL" and reply.startswith("2"):
                sender = argument.partition("<")[2].partition(">")[0]
            if step == "RCPT" and reply.startswith("2"):
                recipient = argument.partition("<")[2].partition(">")[0]
            if reply.startswith("354") and not self._take(sender, recipient):
                return

    def _take(self, sender: str, recipient: str) -> bool:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                return False
            assert len(line) <= 1000
            lines.append(line[1:] if line.startswith(b".") else line)
        self.server.handed_over += 1
        count = len(self.server.messages) + 1
        reply = self._reply("END", recipient, f"250 2.0.0 Ok: queued as Q{count}")
        if reply.startswith("2"):
            self.server.messages.append((sender, recipient, b"".join(lines)))
        return self._write(reply) and not self.server.is_closing_idle

    def _say(self, step: str, argument: str, usual: str) -> bool:
        return self._write(self._reply(step, argument, usual))

    def _reply(self, step: str, argument: str, usual: str) -> str:
        return self.server.rule(step, argument) or usual

    def _write(self, reply: str) -> bool:
        if reply == "cut":
            return False
        if reply == "wait":
            self.server.released.wait(10)
            return False
        self.wfile.write(reply.encode() + b"\r\n")
        return True
