"""Taking events out of an SQS queue: store, commit, delete. No public address is needed for it.

A message is deleted after its transaction was committed, so that a death in between brings it again, and the store
knows it by then. While it is with us nobody else sees it for `VISIBILITY_SECONDS`, far longer than storing takes; if it
does come twice, it counts once all the same.

What can't be read or believed goes to the dead ones with its reason, and is deleted, too: it never comes round again.
What a queue brings is believed because of the credentials that read it. Who may write to the queue is its policy's
matter, which docs/ses.md gives; the topic of an SNS message must stand in an account's list all the same.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from threading import Event, Lock, Thread

import structlog
from django.db import DatabaseError, InterfaceError, OperationalError, connections

from delivery.event_tasks import wake_processor
from delivery.providers.base import ProviderError
from delivery.providers.ses.sqs import LONGEST_WAIT_SECONDS, MOST_MESSAGES, QueuedMessage, SqsQueue
from delivery.services.events import ProviderMessage, store_provider_messages
from webhooks.inbound.bodies import Find, Origin, read_body

logger = structlog.get_logger(__name__)

VISIBILITY_SECONDS = 120
MOST_TOGETHER = 200  # of one transaction
DELETE_ATTEMPTS = 4
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
GRACE_SECONDS = 20.0


class QueuePoller:
    """Some connections, a thread each, on one queue. `stopping` ends them: what was taken is stored and deleted first."""

    def __init__(self, queue: SqsQueue, *, find: Find, stopping: Event, connections: int) -> None:
        self._queue = queue
        self._find = find
        self._stopping = stopping
        self._origin = Origin(queue.address.arn, queue.address.is_local)
        self._threads = [Thread(target=self._poll, name=f"poll-{n}", daemon=True) for n in range(connections)]
        self._working = 0
        self._lock = Lock()

    def start(self) -> None:
        """Start polling."""
        for thread in self._threads:
            thread.start()

    def finish(self) -> bool:
        """Wait until what was taken is stored and deleted; tell whether that was so in time.

        Threads that wait for messages are left waiting: what SQS would give them now comes again.
        """
        deadline = time.monotonic() + GRACE_SECONDS
        while self._working and time.monotonic() < deadline:
            time.sleep(0.02)
        return not self._working

    def _poll(self) -> None:
        pause = 0.0
        while not self._stopping.is_set():
            try:
                taken = self._receive(LONGEST_WAIT_SECONDS)
                if taken:
                    self._take_in(taken)
                pause = 0.0
            except (ProviderError, DatabaseError, InterfaceError) as error:
                logger.warning("webhooks.queue_try_again", error=type(error).__name__, reason=str(error)[:200])
                pause = self._rest(pause)
            except Exception:
                logger.exception("webhooks.queue_failed")
                pause = self._rest(pause)
        connections.close_all()

    def _rest(self, pause: float) -> float:
        """Wait, longer each time, and not all connections at once; return how long."""
        longer = min(LONGEST_PAUSE_SECONDS, max(FIRST_PAUSE_SECONDS, pause * 2))
        self._stopping.wait(longer * random.uniform(0.7, 1.0))  # noqa: S311 - spreads connections, guards nothing
        return longer

    def _receive(self, wait_seconds: int) -> list[QueuedMessage]:
        return self._queue.receive(wait_seconds=wait_seconds, visibility_seconds=VISIBILITY_SECONDS)

    def _take_in(self, taken: list[QueuedMessage]) -> None:
        """Store what was taken, and what else is there at once, then delete it."""
        with self._lock:
            self._working += 1
        try:
            self._take_more(taken)
            self._store(taken)
            self._delete([message.handle for message in taken])
        finally:
            with self._lock:
                self._working -= 1

    def _take_more(self, taken: list[QueuedMessage]) -> None:
        last = len(taken)
        while last == MOST_MESSAGES and len(taken) < MOST_TOGETHER and not self._stopping.is_set():
            try:
                more = self._receive(0)
            except ProviderError:
                return  # what was taken is stored in any case; the next call says what is wrong
            taken += more
            last = len(more)

    def _store(self, taken: Sequence[QueuedMessage]) -> None:
        messages = [found for one in taken for found in read_body(one.body, self._origin, self._find)]
        dead = [message for message in messages if message.problem is not None]
        if dead:
            logger.warning("webhooks.queue_dead", count=len(dead), reason=dead[0].problem)
        if store_together(messages):
            wake_processor()

    def _delete(self, handles: list[str]) -> None:
        for start in range(0, len(handles), MOST_MESSAGES):
            self._delete_some(handles[start : start + MOST_MESSAGES])

    def _delete_some(self, handles: list[str]) -> None:
        """Delete; what still fails after some attempts comes again and is known then."""
        for attempt in range(DELETE_ATTEMPTS):
            try:
                handles = self._queue.delete(handles)
            except ProviderError as error:
                logger.warning("webhooks.queue_not_deleted", count=len(handles), reason=str(error)[:200])
            else:
                if not handles:
                    return
            if attempt + 1 < DELETE_ATTEMPTS:
                time.sleep(0.1 * 2**attempt)
        logger.warning("webhooks.queue_left", count=len(handles))


def store_together(messages: Sequence[ProviderMessage]) -> int:
    """Store in one statement, and one by one where PostgreSQL refuses a message rather than be in trouble itself."""
    try:
        return store_provider_messages(messages)
    except (OperationalError, InterfaceError):
        raise
    except DatabaseError:
        logger.exception("webhooks.batch_refused")
        return sum(_store_alone(message) for message in messages)


def _store_alone(message: ProviderMessage) -> int:
    try:
        return store_provider_messages([message])
    except (OperationalError, InterfaceError):
        raise
    except DatabaseError as error:
        return store_provider_messages([message._replace(problem=f"{type(error).__name__}: {error}"[:500])])
