"""The courier: takes due events out of the store, publishes them, and sends the readers out.

It is a process of its own (`courier_process`), so that a flood of events doesn't slow the acceptance of email down.
An event is done when every subscriber was posted to, or its post waits in the outbox for another attempt; until
then it stays due. So a process that is killed forgets nothing: after its restart the same messages go out again
under the same ids, and subscribers see at most repeats, as from SNS.
"""

from __future__ import annotations

import logging
import sqlite3
import sys
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson

from localses import logs, store
from localses.envelopes import Post, Signer, Subscription
from localses.events import Event, build
from localses.posting import Poster
from localses.readers import Readers
from localses.settling import Done, Waiting, write
from localses.topics import subscribers

logger = logging.getLogger("localses")

POSTERS = 8
READERS = 4
WINDOW = 256  # events in hand at once
READS = 32  # and acts of readers
TICK = 0.02  # seconds between two looks into the store


class Routes:
    """Who wants which event, as it is at one moment; made anew for every look into the store."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._sets: dict[str, list[tuple[frozenset[str], str]]] = {}
        self._topics: dict[str, list[Subscription]] = {}

    def topics(self, configuration_set: str | None, kind: str) -> list[str]:
        """Return the topics that want this kind of event of this configuration set."""
        if configuration_set is None:
            return []
        if configuration_set not in self._sets:
            rows = self._db.execute(
                "SELECT body FROM resource WHERE kind = 'event_destination' AND substr(name, 1, ?) = ?",
                (len(configuration_set) + 1, f"{configuration_set}/"),
            )
            destinations = [orjson.loads(row["body"]) for row in rows]
            self._sets[configuration_set] = [
                (frozenset(d["MatchingEventTypes"]), d["SnsDestination"]["TopicArn"])
                for d in destinations
                if d["Enabled"] and "SnsDestination" in d
            ]
        return list(dict.fromkeys(arn for kinds, arn in self._sets[configuration_set] if kind in kinds))

    def targets(self, configuration_set: str | None, kind: str) -> list[Subscription]:
        """Return the subscriptions that hear of this kind of event."""
        found: list[Subscription] = []
        for arn in self.topics(configuration_set, kind):
            if arn not in self._topics:
                self._topics[arn] = subscribers(self._db, arn)
            found.extend(self._topics[arn])
        return found


class Courier:
    """Looks for what is due and hands it to threads; writes down what came of it."""

    def __init__(self, path: Path, signer: Signer) -> None:
        self._path = path
        self._signer = signer
        self._stopping = threading.Event()
        self._finished: deque[Done] = deque()
        self._delivered: deque[tuple[Waiting, bool]] = deque()
        self._busy: set[int] = set()
        self._busy_reads: set[int] = set()
        self._busy_posts: set[int] = set()
        self._local = threading.local()
        self._poster = Poster()
        self._readers = Readers()
        self._posters = ThreadPoolExecutor(POSTERS, thread_name_prefix="poster")
        self._reading = ThreadPoolExecutor(READERS, thread_name_prefix="reading")

    def stop(self) -> None:
        """Ask `run` to end."""
        self._stopping.set()

    def run(self) -> None:
        """Work until stopped; then finish what is in hand and write it down."""
        db = store.connect(self._path)
        while not self._stopping.wait(TICK):
            try:
                self._settle(db)
                self._take_events(db)
                self._take_posts(db)
            except Exception:
                logger.exception("localses.courier_failed")
                time.sleep(1)
        self._posters.shutdown(wait=True, cancel_futures=True)
        self._reading.shutdown(wait=True, cancel_futures=True)
        self._settle(db)
        db.close()

    def _take_events(self, db: sqlite3.Connection) -> None:
        """Hand out what is due: events to the posters, and fewer acts to the readers, who may have to wait."""
        found = self._due(db, "<>", WINDOW, self._busy)
        routes = Routes(db)  # after the look: whoever made a route before sending finds it used
        for event, configuration_set in found:
            targets = [] if event.is_missing else routes.targets(configuration_set, event.kind)
            if targets:
                self._posters.submit(self._publish, event, targets)
            else:
                self._finished.append(Done(event))
        for event, configuration_set in self._due(db, "=", READS, self._busy_reads):
            kind = "CLICK" if event.kind in {"READ_CLICK", "READ_SCAN"} else "OPEN"
            tracked = bool(routes.topics(configuration_set, kind))
            self._reading.submit(self._read, event, tracked=tracked)

    def _due(self, db: sqlite3.Connection, reads: str, window: int, busy: set[int]) -> list[tuple[Event, str | None]]:
        """Return what is due and in nobody's hands yet, and take it into ours."""
        if len(busy) > window // 2:
            return []
        rows = db.execute(
            "SELECT e.id, e.message, e.kind, e.recipient, e.detail, coalesce(d.happens_at, e.due_at), d.copy_of,"
            " coalesce(d.has_own_id, 0), coalesce(d.is_missing, 0), s.configuration_set FROM event e"
            " JOIN message m ON m.id = e.message JOIN submission s ON s.id = m.submission_id"
            " LEFT JOIN disturbed_event d ON d.event = e.id"
            f" WHERE e.done_at IS NULL AND substr(e.kind, 1, 5) {reads} 'READ_' AND e.due_at <= ?"
            " ORDER BY e.due_at, e.id LIMIT ?",
            (time.time(), window),
        ).fetchall()
        found = [(Event(*tuple(row)[:9]), row["configuration_set"]) for row in rows if row["id"] not in busy]
        busy.update(event.id for event, _ in found)
        return found

    def _take_posts(self, db: sqlite3.Connection) -> None:
        if len(self._busy_posts) > WINDOW // 2:
            return
        rows = db.execute(
            "SELECT * FROM outbox WHERE due_at <= ? ORDER BY due_at, id LIMIT ?", (time.time(), WINDOW)
        ).fetchall()
        for row in rows:
            if row["id"] in self._busy_posts:
                continue
            self._busy_posts.add(row["id"])
            post = Post(row["endpoint"], orjson.loads(row["headers"]), row["body"])
            self._posters.submit(self._repeat, Waiting(row["id"], post, row["attempts"], row["created_at"]))

    def _settle(self, db: sqlite3.Connection) -> None:
        finished = [self._finished.popleft() for _ in range(len(self._finished))]
        delivered = [self._delivered.popleft() for _ in range(len(self._delivered))]
        if finished or delivered:
            write(db, finished, delivered)
            self._busy.difference_update(done.event.id for done in finished)
            self._busy_reads.difference_update(done.event.id for done in finished)
            self._busy_posts.difference_update(waiting.id for waiting, _ in delivered)

    # ---- on the threads of posters and readers ----------------------------------------------------------

    def _connection(self) -> sqlite3.Connection:
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            db = self._local.db = store.connect(self._path, read_only=True)
        return db

    def _publish(self, event: Event, targets: list[Subscription]) -> None:
        done = Done(event)
        try:
            message = store.message(self._connection(), event.message)
            if message is not None:
                text = orjson.dumps(build(message, event)).decode()
                for target in targets:
                    message_id = self._signer.message_id(event.published_as, target.topic_arn)
                    post = self._signer.notification(target, message_id=message_id, message=text, at=time.time())
                    if not self._poster.deliver(post):
                        done.retries.append(post)
        except Exception:
            # An event that cannot be built must not come back for ever; the log says which it was.
            logger.exception("localses.event_failed", extra={"event": event.id})
        self._finished.append(done)

    def _repeat(self, waiting: Waiting) -> None:
        self._delivered.append((waiting, self._poster.deliver(waiting.post)))

    def _read(self, event: Event, *, tracked: bool) -> None:
        done = Done(event, tracked=tracked)
        try:
            message = store.message(self._connection(), event.message)
            if message is not None:
                done.act = self._readers.act(event.kind, message)
        except Exception:
            logger.exception("localses.reader_failed", extra={"event": event.id})
        self._finished.append(done)


def main() -> None:
    """Run as a child: the folder and the public address come in the first line, the end of input is the end."""
    logs.configure()
    told = orjson.loads(sys.stdin.readline())
    data = Path(told["data"])
    courier = Courier(data / store.FILE_NAME, Signer(data, told["public_url"]))

    def wait_for_end() -> None:
        sys.stdin.read()
        courier.stop()

    threading.Thread(target=wait_for_end, daemon=True).start()
    courier.run()


if __name__ == "__main__":
    main()
