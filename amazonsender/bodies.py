"""Bodies of requests come in whole, bounded in size and time, before anything of the application runs.

So whoever sends slowly holds a thread that only waits, and never one that works; nothing of a body that broke off is
looked at; and a body in chunks, which Django has no length for, is read like any other.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from http import HTTPStatus
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Final, TypeAlias

import orjson
import structlog

from amazonsender.core.places import Places
from amazonsender.core.slow_senders import Caller, SlowSenders

logger = structlog.get_logger(__name__)

Environ: TypeAlias = dict[str, Any]
Start: TypeAlias = Callable[..., Any]
Application: TypeAlias = Callable[[Environ, Start], Iterable[bytes]]

MOST_AWAITED: Final = 24  # bodies at once, of 40 threads: what has none is answered whatever bodies do
MIB: Final = 1024 * 1024
CHUNK: Final = 64 * 1024
KEPT_IN_MEMORY: Final = MIB
OTHERS: Final = 3 * MIB
# The longest prefix that fits. Views ask for less and say so in their own words; this is what is read at all.
LARGEST: Final = {
    "/webhooks/": 16 * MIB,  # twice Firehose's deliveries, which are refused in its own form beyond them
    "/admin/": 5 * 1024 * MIB + MIB,  # files of people, and the form around them
}


class BodyError(Exception):
    """A body that is not read, or not to its end."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class WholeBodies:
    """Reads the body, then lets the application work on the request as soon as there is a place."""

    def __init__(self, application: Application, *, places: Places, slow_senders: SlowSenders) -> None:
        self._application = application
        self._places = places
        self._slow_senders = slow_senders

    def __call__(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        caller = Caller(environ.get("REMOTE_ADDR", ""), environ.get("SERVER_PORT", ""))
        if _has_body(environ):
            try:
                body, length = self._await_body(environ, caller)
            except BodyError as error:
                return _refuse(environ, start_response, error)
            environ["wsgi.input"], environ["CONTENT_LENGTH"] = body, str(length)
        with self._places.taken(), self._slow_senders.working(caller):
            return self._application(environ, start_response)

    def _await_body(self, environ: Environ, caller: Caller) -> tuple[IO[bytes], int]:
        if self._slow_senders.awaited >= MOST_AWAITED:
            raise BodyError(HTTPStatus.SERVICE_UNAVAILABLE, "Too many bodies are on their way. Try again.")
        with self._slow_senders.awaiting(caller):
            return _read(environ)


def largest_body(path: str) -> int:
    """How many bytes are read of a body that is sent to this path."""
    return next((size for prefix, size in LARGEST.items() if path.startswith(prefix)), OTHERS)


def _has_body(environ: Environ) -> bool:
    return environ.get("CONTENT_LENGTH", "") not in ("", "0") or _is_in_chunks(environ)


def _is_in_chunks(environ: Environ) -> bool:
    """Only where the server says that reading comes to an end."""
    return bool(environ.get("HTTP_TRANSFER_ENCODING") and environ.get("wsgi.input_terminated"))


def _read(environ: Environ) -> tuple[IO[bytes], int]:
    """The whole body and its length. Raises BodyError."""
    largest = largest_body(environ.get("PATH_INFO", ""))
    declared: int | None = None
    if not _is_in_chunks(environ):
        written = environ["CONTENT_LENGTH"]
        if not (written.isascii() and written.isdecimal()):
            raise BodyError(HTTPStatus.BAD_REQUEST, "Content-Length is no number.")
        declared = int(written)
        if declared > largest:
            raise _too_large(largest)
        if declared <= KEPT_IN_MEMORY:
            data = environ["wsgi.input"].read(declared)
            _check_whole(len(data), declared)
            return io.BytesIO(data), declared
    body: IO[bytes] = SpooledTemporaryFile(max_size=KEPT_IN_MEMORY)  # noqa: SIM115 - closed with the request
    length = 0
    while chunk := environ["wsgi.input"].read(CHUNK if declared is None else min(CHUNK, declared - length)):
        length += len(chunk)
        if length > largest:
            raise _too_large(largest)
        body.write(chunk)
    if declared is not None:
        _check_whole(length, declared)
    body.seek(0)
    return body, length


def _check_whole(length: int, declared: int) -> None:
    if length < declared:
        raise BodyError(HTTPStatus.REQUEST_TIMEOUT, "The body broke off, or came too slowly.")


def _too_large(largest: int) -> BodyError:
    return BodyError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {largest:,} bytes.")


def _refuse(environ: Environ, start_response: Start, error: BodyError) -> list[bytes]:
    """Answer and close the connection, over which the rest may still be on its way."""
    from amazonsender.core.api.problems import MEDIA_TYPE, problem  # needs Django set up

    path = environ.get("PATH_INFO", "")
    logger.warning("http.body_refused", status=error.status.value, door=path.split("/")[1] if "/" in path else "")
    is_api = path.startswith("/api/")
    body = orjson.dumps(problem(error.status, str(error))) if is_api else f"{error}\n".encode()
    headers = [
        ("Content-Type", MEDIA_TYPE if is_api else "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Connection", "close"),
    ]
    if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append(("Retry-After", "5"))
    start_response(f"{error.status.value} {error.status.phrase}", headers)
    return [body]
