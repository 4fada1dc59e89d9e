"""So many requests are worked on at once, each with the database connection of its place.

A server has more threads than that, some of which wait for bodies. Django gives every thread a connection of its own,
which it keeps; here connections are lent to whichever thread works, so that a web process holds as many as it ever
worked on at once, and never more than it has places.

Few places are dear: with four of them, handing one over to a thread that waits cost a third of an event's CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue

import structlog
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

logger = structlog.get_logger(__name__)

Connections = dict[str, BaseDatabaseWrapper]  # by alias


class Places:
    """Waits for a free place, without a limit: whoever waits has been read whole and holds nothing."""

    def __init__(self, count: int) -> None:
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(count):
            self._free.put(None)
        self._lent: list[Connections] = []  # the last one that came back goes out first: no more than are needed

    @contextmanager
    def taken(self) -> Iterator[None]:
        """A place, for the time of one request."""
        self._free.get()
        try:
            with suppress(IndexError):
                _attach(self._lent.pop())
            yield
        finally:
            try:
                self._lent.append(_detached())
            finally:
                self._free.put(None)


def _attach(lent: Connections) -> None:
    connections.close_all()  # what a streamed answer opened in this thread after its place was given back
    for alias, connected in lent.items():
        connections[alias] = connected


def _detached() -> Connections:
    """The thread's connections, taken from it; as after any request, those that are broken or old are closed."""
    kept: Connections = {}
    for connected in connections.all(initialized_only=True):
        try:
            connected.close_if_unusable_or_obsolete()
        except DatabaseError as error:
            logger.warning("http.connection_dropped", error=type(error).__name__)
        else:
            if not connected.allow_thread_sharing:
                connected.inc_thread_sharing()
            kept[connected.alias] = connected
        del connections[connected.alias]
    return kept
