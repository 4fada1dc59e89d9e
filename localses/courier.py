"""The courier: takes due events out of the store, publishes them, and sends the readers out.

An event is done when every subscriber was posted to, or its post waits in the outbox for another attempt; until
then it stays due. So a process that is killed forgets nothing: after its restart the same messages go out again
under the same ids, and subscribers see at most repeats, as from SNS.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import orjson
import urllib3

from localses import store
from localses.desk import Desk
from localses.envelopes import Post, Subscription
from localses.events import Event, build
from localses.readers import Readers
from localses.settling import Done, Waiting, write
from localses.topics import subscribers

logger = logging.getLogger("localses")

POSTERS = 16
READERS = 4
WINDOW = 256  # events in hand at once
READS = 32  # and acts of readers
POST_TIMEOUT = 15.0  # as SNS waits
_IDLE = 0.05
_AtDesk = Callable[[Callable[[], None]], None]


class Courier:
    """Runs on threads of its own; writes only through the desk."""

    def __init__(self, desk: Desk, at_desk: _AtDesk) -> None:
        self._desk = desk
        self._at_desk = at_desk
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._finished: deque[Done] = deque()
        self._delivered: deque[tuple[Waiting, bool]] = deque()
        self._busy: set[int] = set()
        self._busy_reads: set[int] = set()
        self._busy_posts: set[int] = set()
        self._routes: dict[str, list[tuple[frozenset[str], str]]] = {}
        self._subscribers: dict[str, list[Subscription]] = {}
        self._routes_version = -1
        self._local = threading.local()
        self._http = urllib3.PoolManager(maxsize=POSTERS, retries=False, timeout=urllib3.Timeout(POST_TIMEOUT))
        self._readers = Readers()
        self._posters = ThreadPoolExecutor(POSTERS, thread_name_prefix="poster")
        self._reading = ThreadPoolExecutor(READERS, thread_name_prefix="reading")
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)

    def start(self) -> None:
        """Start working; what an earlier process left is taken up first."""
        self._thread.start()

    def wake(self) -> None:
        """Say that there may be something due."""
        self._wake.set()

    def stop(self) -> None:
        """Finish what is in hand, write down what came of it, and end."""
        self._stopping.set()
        self._wake.set()
        self._thread.join()
        self._posters.shutdown(wait=True, cancel_futures=True)
        self._reading.shutdown(wait=True, cancel_futures=True)
        self._settle()

    def _run(self) -> None:
        db = store.connect(self._desk.store.path, read_only=True)
        try:
            while not self._stopping.is_set():
                self._wake.wait(_IDLE)
                self._wake.clear()
                try:
                    self._settle()
                    self._refresh_routes()
                    self._take_events(db)
                    self._take_posts(db)
                except Exception:
                    logger.exception("localses.courier_failed")
                    time.sleep(1)
        finally:
            db.close()

    # ---- taking work ---------------------------------------------------------------------------------

    def _refresh_routes(self) -> None:
        if self._routes_version != self._desk.store.version:
            self._routes_version = self._desk.store.version
            self._routes = {}
            self._subscribers = {}

    def _take_events(self, db: sqlite3.Connection) -> None:
        """Hand out what is due: events to the posters, and fewer acts to the readers, who may have to wait."""
        for event, configuration_set in self._due(db, "<>", WINDOW, self._busy):
            topics = self._topics(db, configuration_set, event.kind)
            if topics:
                self._posters.submit(self._publish, event, topics)
            else:
                self._finished.append(Done(event))
                self._wake.set()
        for event, configuration_set in self._due(db, "=", READS, self._busy_reads):
            kind = "CLICK" if event.kind in {"READ_CLICK", "READ_SCAN"} else "OPEN"
            tracked = bool(self._topics(db, configuration_set, kind))
            self._reading.submit(self._read, event, tracked=tracked)

    def _due(self, db: sqlite3.Connection, reads: str, window: int, busy: set[int]) -> list[tuple[Event, str | None]]:
        """Return what is due and in nobody's hands yet, and take it into ours."""
        if len(busy) >= window:
            return []
        rows = db.execute(
            "SELECT e.id, e.message, e.kind, e.recipient, e.detail, e.due_at, s.configuration_set FROM event e"
            " JOIN message m ON m.id = e.message JOIN submission s ON s.id = m.submission_id"
            f" WHERE e.done_at IS NULL AND substr(e.kind, 1, 5) {reads} 'READ_' AND e.due_at <= ?"
            " ORDER BY e.due_at, e.id LIMIT ?",
            (self._desk.clock(), window),
        ).fetchall()
        found = [(Event(*tuple(row)[:6]), row["configuration_set"]) for row in rows if row["id"] not in busy]
        busy.update(event.id for event, _ in found)
        return found

    def _topics(self, db: sqlite3.Connection, configuration_set: str | None, kind: str) -> list[str]:
        """Return the topics that want this kind of event of this configuration set."""
        if configuration_set is None:
            return []
        if configuration_set not in self._routes:
            rows = db.execute(
                "SELECT body FROM resource WHERE kind = 'event_destination' AND substr(name, 1, ?) = ?",
                (len(configuration_set) + 1, f"{configuration_set}/"),
            )
            destinations = [orjson.loads(row["body"]) for row in rows]
            self._routes[configuration_set] = [
                (frozenset(d["MatchingEventTypes"]), d["SnsDestination"]["TopicArn"])
                for d in destinations
                if d["Enabled"] and "SnsDestination" in d
            ]
        return list(dict.fromkeys(arn for kinds, arn in self._routes[configuration_set] if kind in kinds))

    def _take_posts(self, db: sqlite3.Connection) -> None:
        free = WINDOW - len(self._busy_posts)
        rows = db.execute(
            "SELECT * FROM outbox WHERE due_at <= ? ORDER BY due_at, id LIMIT ?", (self._desk.clock(), max(free, 0))
        ).fetchall()
        for row in rows:
            if row["id"] in self._busy_posts:
                continue
            self._busy_posts.add(row["id"])
            post = Post(row["endpoint"], orjson.loads(row["headers"]), row["body"])
            self._posters.submit(self._repeat, Waiting(row["id"], post, row["attempts"], row["created_at"]))

    # ---- on the posters' and readers' threads ----------------------------------------------------------

    def _connection(self) -> sqlite3.Connection:
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            db = self._local.db = store.connect(self._desk.store.path, read_only=True)
        return db

    def _publish(self, event: Event, topics: list[str]) -> None:
        done = Done(event)
        try:
            message = store.message(self._connection(), event.message)
            if message is not None:
                text = orjson.dumps(build(message, event)).decode()
                for topic_arn in topics:
                    self._publish_to(topic_arn, text, done)
        except Exception:
            # An event that cannot be built must not come back for ever; the log says which it was.
            logger.exception("localses.event_failed", extra={"event": event.id})
        self._finished.append(done)
        self._wake.set()

    def _publish_to(self, topic_arn: str, text: str, done: Done) -> None:
        signer = self._desk.signer
        message_id = signer.message_id(done.event.id, topic_arn)
        cache = self._subscribers  # a change replaces it, so that nothing old gets into the new one
        targets = cache.get(topic_arn)
        if targets is None:
            targets = cache[topic_arn] = subscribers(self._connection(), topic_arn)
        for target in targets:
            post = signer.notification(target, message_id=message_id, message=text, at=self._desk.clock())
            if not self._deliver(post):
                done.retries.append(post)

    def _repeat(self, waiting: Waiting) -> None:
        self._delivered.append((waiting, self._deliver(waiting.post)))
        self._wake.set()

    def _deliver(self, post: Post) -> bool:
        """Post once. As SNS does, anything from 200 to 499 is final; only 5xx and silence are tried again."""
        try:
            response = self._http.request("POST", post.endpoint, body=post.body, headers=post.headers, redirect=False)
        except urllib3.exceptions.HTTPError:
            return False
        if 400 <= response.status < 500:
            logger.warning("localses.post_refused", extra={"status": response.status, "endpoint": post.endpoint})
        return response.status < 500

    def _read(self, event: Event, *, tracked: bool) -> None:
        done = Done(event, tracked=tracked)
        try:
            message = store.message(self._connection(), event.message)
            if message is not None:
                done.act = self._readers.act(event.kind, message)
        except Exception:
            logger.exception("localses.reader_failed", extra={"event": event.id})
        self._finished.append(done)
        self._wake.set()

    # ---- writing down what came of it -------------------------------------------------------------------

    def _settle(self) -> None:
        finished = [self._finished.popleft() for _ in range(len(self._finished))]
        delivered = [self._delivered.popleft() for _ in range(len(self._delivered))]
        if not finished and not delivered:
            return
        self._at_desk(lambda: write(self._desk, finished, delivered))
        self._busy.difference_update(done.event.id for done in finished)
        self._busy_reads.difference_update(done.event.id for done in finished)
        self._busy_posts.difference_update(waiting.id for waiting, _ in delivered)
