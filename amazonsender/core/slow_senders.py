"""Ends connections that bring a request's body too slowly, as the web server has a limit for headers alone.

A thread that waits for a body waits in the server's own code, where nothing of ours can end it; and which connection it
waits for nobody tells. But the kernel knows of each connection how much came in and how long ago we last sent something.
So, only while some body has been awaited for long: a connection from that body's address to which nothing was sent
meanwhile, and over which next to nothing comes, is shut, and its thread gets an end of the body. Costs nothing otherwise.

Linux only; elsewhere a proxy that reads bodies whole has to do it.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread, get_ident
from typing import Final, NamedTuple, TypeAlias

import structlog

logger = structlog.get_logger(__name__)

SLOWEST_RATE: Final = 4096  # bytes a second; what comes faster may take its time
LOOKS: Final = 10  # within the limit
DESCRIPTORS: Final = Path("/proc/self/fd")
# struct tcp_info: https://github.com/torvalds/linux/blob/master/include/uapi/linux/tcp.h
_LAST_DATA_SENT: Final = struct.Struct("<44xI")  # ms since we last sent, or accepted
_BYTES_RECEIVED: Final = struct.Struct("<128xQ")


class Caller(NamedTuple):
    """Who sends a request, and to which port of ours: not to be taken for the database's end of a connection."""

    address: str
    port: str


class Connection(NamedTuple):
    """What the kernel says about one. key: both ends, which a connection that reuses the descriptor doesn't share."""

    fd: int
    key: tuple[object, ...]
    caller: Caller
    silent_seconds: float  # since we last sent
    received: int


Notes: TypeAlias = dict[int, tuple[float, Caller]]  # by thread, since when (clock's seconds) and whose


class SlowSenders:
    """Knows which requests' bodies are awaited and which are worked on, since when and from where."""

    def __init__(
        self,
        limit: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        connections: Callable[[], list[Connection]] | None = None,
    ) -> None:
        self._limit = limit  # seconds
        self._window = limit / 2  # over which the rate is measured
        self._clock = clock
        self._connections = connections or open_connections
        self._awaited: Notes = {}
        self._worked_on: Notes = {}
        self._samples: dict[tuple[object, ...], list[tuple[float, int]]] = {}
        self._watcher: Thread | None = None

    @property
    def awaited(self) -> int:
        """How many bodies are on their way."""
        return len(self._awaited)

    @contextmanager
    def awaiting(self, caller: Caller) -> Iterator[None]:
        """While a body is awaited."""
        if self._watcher is None:
            self._watch()
        with _noted(self._awaited, (self._clock(), caller)):
            yield

    @contextmanager
    def working(self, caller: Caller) -> Iterator[None]:
        """While a request is worked on, whose connection waits for us and must not be shut."""
        with _noted(self._worked_on, (self._clock(), caller)):
            yield

    def look(self) -> int:
        """Shut what is too slow; return how many."""
        now = self._clock()
        suspected = _callers(self._awaited, before=now - self._limit + self._window)
        if not suspected:
            self._samples.clear()
            return 0
        present = [one for one in self._connections() if one.caller in suspected]
        self._samples = {one.key: [*self._recent(one, now), (now, one.received)] for one in present}
        overdue = _callers(self._awaited, before=now - self._limit)
        spared = _callers(self._worked_on, before=now - self._limit)
        slow = [one for one in present if one.caller in overdue - spared and self._is_slow(one, now)]
        for one in slow:
            _shut(one)
        if slow:
            logger.warning("http.slow_bodies_ended", count=len(slow))
        return len(slow)

    def _recent(self, one: Connection, now: float) -> list[tuple[float, int]]:
        return [sample for sample in self._samples.get(one.key, ()) if sample[0] >= now - 2 * self._window]

    def _is_slow(self, one: Connection, now: float) -> bool:
        if one.silent_seconds < self._limit:
            return False
        earlier = [received for at, received in self._samples[one.key] if at <= now - self._window]
        return bool(earlier) and one.received - earlier[-1] < SLOWEST_RATE * self._window

    def _watch(self) -> None:
        if not DESCRIPTORS.is_dir():
            return
        self._watcher = Thread(target=self._run, name="slow-senders", daemon=True)
        self._watcher.start()

    def _run(self) -> None:
        while True:
            time.sleep(self._limit / LOOKS)
            try:
                self.look()
            except Exception:
                logger.exception("http.slow_bodies_unseen")


def open_connections() -> list[Connection]:
    """This process's TCP connections, those that it opened, too."""
    found = []
    for descriptor in DESCRIPTORS.iterdir():
        with suppress(OSError, ValueError, struct.error), _duplicate(int(descriptor.name)) as connected:
            peer, here = connected.getpeername(), connected.getsockname()
            info = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
            silent, received = _LAST_DATA_SENT.unpack_from(info)[0] / 1000, _BYTES_RECEIVED.unpack_from(info)[0]
            found.append(
                Connection(int(descriptor.name), (peer, here), Caller(str(peer[0]), str(here[1])), silent, received)
            )
    return found


def _duplicate(fd: int) -> socket.socket:
    """The socket behind a descriptor, to be looked at and closed without closing the other. Raises OSError for none."""
    copy = os.dup(fd)
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise


def _shut(one: Connection) -> None:
    with suppress(OSError), _duplicate(one.fd) as connected:
        if (connected.getpeername(), connected.getsockname()) == one.key:
            connected.shutdown(socket.SHUT_RDWR)


def _callers(notes: Notes, *, before: float) -> set[Caller]:
    return {caller for at, caller in list(notes.values()) if at <= before}


@contextmanager
def _noted(notes: Notes, note: tuple[float, Caller]) -> Iterator[None]:
    notes[get_ident()] = note
    try:
        yield
    finally:
        del notes[get_ident()]
