"""Answers as they go out: whole, in drops, or cut off."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from localses.api import Answer

_MOST_DROPS = 200
_OPEN_FILES = Path("/dev/fd")  # of this process, on Linux and macOS


class ConductedResponse(Response):
    """An answer of a door, sent in the way that its conduct says."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body, answer.status, answer.headers)
        self._conduct = answer.conduct

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait, then send it all, or what is left of it."""
        conduct = self._conduct
        if conduct.wait_seconds:
            await asyncio.sleep(conduct.wait_seconds)
        if conduct.is_cut:
            close_connection(*scope["client"])
            return
        if not (conduct.is_cut_in_the_middle or conduct.drip_seconds):
            await super().__call__(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        body = bytes(self.body)
        # The server closes the connection when the program ends before the promised length.
        shown = body[: len(body) // 2] if conduct.is_cut_in_the_middle else body
        drops = _drops(shown, _MOST_DROPS if conduct.drip_seconds else 1)
        for number, drop in enumerate(drops, 1):
            await asyncio.sleep(conduct.drip_seconds / len(drops))
            is_last = number == len(drops) and not conduct.is_cut_in_the_middle
            await send({"type": "http.response.body", "body": drop, "more_body": not is_last})
        # The half must have left before the end of the program closes the connection.
        await asyncio.sleep(0.02)


def _drops(body: bytes, most: int) -> list[bytes]:
    size = max(1, -(-len(body) // most))
    return [body[start : start + size] for start in range(0, len(body), size)] or [b""]


def close_connection(host: str, port: int | str) -> None:
    """Close the connection with this peer without a word.

    ASGI has no way to: a program that ends without an answer is answered for by its server, with 500. So the socket is
    looked for among the open files of this process.
    """
    for file in [*_OPEN_FILES.iterdir()]:
        with suppress(OSError):
            if not stat.S_ISSOCK(os.fstat(int(file.name)).st_mode):
                continue
            with socket.fromfd(int(file.name), socket.AF_INET, socket.SOCK_STREAM) as found:
                if found.getpeername()[:2] == (host, int(port)):
                    found.shutdown(socket.SHUT_RDWR)
