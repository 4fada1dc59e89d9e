"""Taking events out of an SQS queue: store, commit, delete. No public address is needed for it.

1. Some connections receive, ten messages a call, and hold what they got.
2. One thread stores everything that is held in one transaction, as much as came while it stored the last.
3. Some connections delete what is committed, ten a call.

None waits for another, so that a transaction carries hundreds of messages where ten a call come in, and a far-away queue
is read as fast as its connections allow. A message is deleted after its transaction was committed, so that a death in
between brings it again, and the store knows it by then. While it is with us nobody else sees it for
`VISIBILITY_SECONDS`, far longer than storing takes; if it does come twice, it counts once all the same.

While the database is away nothing is received, and what is held waits here: each reception counts towards the number
after which a queue's redrive policy puts a message aside.

What can't be read or believed goes to the dead ones with its reason, and is deleted, too: it never comes round again.
What a queue brings is believed because of the credentials that read it. Who may write to the queue is its policy's
matter, which docs/ses.md gives; the topic of an SNS message must stand in an account's list all the same.
"""

from __future__ import annotations

import random
import time
from collections import deque
from threading import Condition, Event, Lock, Thread

import structlog
from django.db import DatabaseError, InterfaceError, connection

from delivery.event_tasks import wake_processor
from delivery.providers.base import ProviderError
from delivery.providers.ses.sqs import LONGEST_WAIT_SECONDS, MOST_MESSAGES, QueuedMessage, SqsQueue
from webhooks.inbound.bodies import Find, Origin, read_body
from webhooks.inbound.storing import store_together

logger = structlog.get_logger(__name__)

VISIBILITY_SECONDS = 120
MOST_TOGETHER = 500  # of one transaction
MOST_HELD = 4000  # received and not yet deleted
MOST_HELD_BYTES = 32 * 1024 * 1024  # of bodies that are not stored yet
DELETE_ATTEMPTS = 4
FIRST_DELETE_PAUSE_SECONDS = 0.1
DELETE_WITHIN_SECONDS = 0.1  # so that a quiet queue's deletions go together, too: each call is paid for
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
LAST_PAUSE_SECONDS = 0.1
GRACE_SECONDS = 20.0


class QueuePoller:
    """Reads one queue over some connections. `stopping` ends it: what was taken is stored and deleted first."""

    def __init__(self, queue: SqsQueue, *, find: Find, stopping: Event, connections: int) -> None:
        self._queue = queue
        self._find = find
        self._stopping = stopping
        self._origin = Origin(queue.address.arn, queue.address.is_local)
        self._lock = Lock()
        self._room, self._arrived, self._deletable = (Condition(self._lock) for _ in range(3))
        self._received: deque[QueuedMessage] = deque()
        self._committed: deque[tuple[str, int]] = deque()  # handles, and how often deleting them was tried
        self._held = self._held_bytes = 0
        self._receiving, self._is_storing = connections, True  # who may still bring something to the next
        self._is_waiting_for_database = False
        duties = [
            ("store", self._store_all),
            *(("receive", self._receive_all), ("delete", self._delete_all)) * connections,
        ]
        self._threads = [Thread(target=duty, name=f"queue-{name}", daemon=True) for name, duty in duties]

    def start(self) -> None:
        """Start polling."""
        for thread in self._threads:
            thread.start()

    def finish(self) -> bool:
        """Wait until what was taken is stored and deleted; tell whether that was so in time.

        Threads that wait for messages are left waiting: what SQS would give them now comes again.
        """
        deadline = time.monotonic() + GRACE_SECONDS
        while self._held and time.monotonic() < deadline:
            time.sleep(0.02)
        return not self._held

    # ---- receiving --------------------------------------------------------------------------------------

    def _receive_all(self) -> None:
        pause = 0.0
        while self._has_room():
            try:
                taken = self._queue.receive(wait_seconds=LONGEST_WAIT_SECONDS, visibility_seconds=VISIBILITY_SECONDS)
            except ProviderError as error:
                logger.warning("webhooks.queue_try_again", error=type(error).__name__, reason=str(error)[:200])
                pause = self._rest(pause)
            except Exception:
                logger.exception("webhooks.queue_failed")
                pause = self._rest(pause)
            else:
                pause = 0.0
                self._hold(taken)
        with self._lock:
            self._receiving -= 1
            self._arrived.notify()

    def _has_room(self) -> bool:
        """Wait until more may be received; False when there is an end to it."""
        with self._lock:
            while not self._stopping.is_set():
                is_full = self._held >= MOST_HELD or self._held_bytes >= MOST_HELD_BYTES
                if not is_full and not self._is_waiting_for_database:
                    return True
                self._room.wait(1.0)
        return False

    def _hold(self, taken: list[QueuedMessage]) -> None:
        if taken:
            with self._lock:
                self._received += taken
                self._held += len(taken)
                self._held_bytes += sum(len(message.body) for message in taken)
                self._arrived.notify()

    def _let_go(self, count: int) -> None:
        with self._lock:
            self._held -= count
            self._room.notify()

    # ---- storing ----------------------------------------------------------------------------------------

    def _store_all(self) -> None:
        while taken := self._next_received():
            if self._store_at_last(taken):
                with self._lock:
                    self._committed += [(message.handle, 0) for message in taken]
                    self._deletable.notify_all()
            else:
                self._let_go(len(taken))
        connection.close()
        with self._lock:
            self._is_storing = False
            self._deletable.notify_all()

    def _next_received(self) -> list[QueuedMessage]:
        """Wait for messages; none when nobody receives any more."""
        with self._lock:
            self._arrived.wait_for(lambda: self._received or not self._receiving)
            taken = [self._received.popleft() for _ in range(min(MOST_TOGETHER, len(self._received)))]
            self._held_bytes -= sum(len(message.body) for message in taken)
            return taken

    def _store_at_last(self, taken: list[QueuedMessage]) -> bool:
        """Store, however long the database is away. False when it was not the database: the messages come again."""
        pause = 0.0
        while True:
            try:
                self._store(taken)
            except (DatabaseError, InterfaceError) as error:
                logger.warning("webhooks.queue_try_again", error=type(error).__name__, reason=str(error)[:200])
                connection.close()  # Django would go on with one that is dead
                self._is_waiting_for_database = True
                pause = self._rest(pause)
            except Exception:
                logger.exception("webhooks.queue_failed")
                self._rest(pause)
                return False
            else:
                if self._is_waiting_for_database:
                    self._go_on()
                return True

    def _go_on(self) -> None:
        with self._lock:
            self._is_waiting_for_database = False
            self._room.notify_all()

    def _store(self, taken: list[QueuedMessage]) -> None:
        messages = [found for one in taken for found in read_body(one.body, self._origin, self._find)]
        dead = [message for message in messages if message.problem is not None]
        if dead:
            logger.warning("webhooks.queue_dead", count=len(dead), reason=dead[0].problem)
        if store_together(messages):
            wake_processor()

    # ---- deleting ---------------------------------------------------------------------------------------

    def _delete_all(self) -> None:
        while tried := self._next_committed():
            failed = self._delete(list(tried), attempt=max(tried.values()))
            again = {handle: attempt + 1 for handle, attempt in tried.items() if handle in failed}
            left = [handle for handle, attempt in again.items() if attempt >= DELETE_ATTEMPTS]
            if left:  # these come again, and are known then
                logger.warning("webhooks.queue_left", count=len(left))
            with self._lock:
                self._committed += [(handle, attempt) for handle, attempt in again.items() if attempt < DELETE_ATTEMPTS]
            self._let_go(len(tried) - len(again) + len(left))

    def _next_committed(self) -> dict[str, int]:
        """Wait for ten, or a moment for fewer, with how often each was tried; none when nobody stores any more."""
        with self._lock:
            while self._committed or self._is_storing:
                self._deletable.wait_for(lambda: self._committed or not self._is_storing)
                self._deletable.wait_for(self._has_enough, DELETE_WITHIN_SECONDS)
                if self._committed:  # another connection may have taken them meanwhile
                    return dict(self._committed.popleft() for _ in range(min(MOST_MESSAGES, len(self._committed))))
        return {}

    def _has_enough(self) -> bool:
        return len(self._committed) >= MOST_MESSAGES or self._stopping.is_set() or not self._is_storing

    def _delete(self, handles: list[str], *, attempt: int) -> list[str]:
        """Delete; return what is to be tried again, after a pause when it was the whole call that failed."""
        try:
            return self._queue.delete(handles)
        except ProviderError as error:
            logger.warning("webhooks.queue_not_deleted", count=len(handles), reason=str(error)[:200])
        except Exception:
            logger.exception("webhooks.queue_failed")
        time.sleep(FIRST_DELETE_PAUSE_SECONDS * 2**attempt)
        return handles

    def _rest(self, pause: float) -> float:
        """Wait, longer each time, and not all connections at once; return how long."""
        longer = min(LONGEST_PAUSE_SECONDS, max(FIRST_PAUSE_SECONDS, pause * 2))
        if self._stopping.wait(longer * random.uniform(0.7, 1.0)):  # noqa: S311 - spreads connections, guards nothing
            time.sleep(LAST_PAUSE_SECONDS)  # what is left is tried again until the end
        return longer
