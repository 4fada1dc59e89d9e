"""So many requests are worked on at once, each with the database connection of its place.

A server has more threads than that, some of which wait for bodies. Django gives every thread a connection of its own,
which it keeps; here the connection stays with the place and is lent to whichever thread works there, so that a web
process never holds more than it has places.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue

import structlog
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

logger = structlog.get_logger(__name__)

Connections = dict[str, BaseDatabaseWrapper]  # by alias


class Places:
    """Waits for a free place, without a limit: whoever waits has been read whole and holds nothing."""

    def __init__(self, count: int) -> None:
        self._free: SimpleQueue[Connections] = SimpleQueue()
        for _ in range(count):
            self._free.put({})

    @contextmanager
    def taken(self) -> Iterator[None]:
        """A place, for the time of one request."""
        lent = self._free.get()
        try:
            _attach(lent)
            yield
        finally:
            self._free.put(_detached())


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
