"""Everything that Local SES remembers: one SQLite file, written by one thread.

Constant content of a call is stored once (`content`), what differs between its recipients once per call and
compressed (`submission`); a `message` row points at its place there. Emails are rendered when somebody looks.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from localses.model import Json

FILE_NAME = "localses.sqlite3"
ACCOUNT_REASONS = ["BOUNCE", "COMPLAINT"]  # what a new account suppresses
_OF_MESSAGES = (
    "event", "message", "submission", "content", "outbox", "usage", "disturbed_message", "disturbed_event"
)  # fmt: skip
_SCHEMA = """
CREATE TABLE IF NOT EXISTS content (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS submission (
  id INTEGER PRIMARY KEY, content_id INTEGER NOT NULL, configuration_set TEXT, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS message (
  id INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT NOT NULL, submission_id INTEGER NOT NULL,
  position INTEGER NOT NULL, accepted_at REAL NOT NULL, recipient TEXT NOT NULL, subject TEXT NOT NULL, tag_m TEXT,
  outcome TEXT NOT NULL, reader TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS event (
  id INTEGER PRIMARY KEY AUTOINCREMENT, message INTEGER NOT NULL, kind TEXT NOT NULL, recipient TEXT, detail TEXT,
  due_at REAL NOT NULL, done_at REAL);
-- The courier's next work: events to publish, and readers' acts, which must not hold them up.
CREATE INDEX IF NOT EXISTS event_due ON event (due_at) WHERE done_at IS NULL AND substr(kind, 1, 5) <> 'READ_';
CREATE INDEX IF NOT EXISTS event_reads ON event (due_at) WHERE done_at IS NULL AND substr(kind, 1, 5) = 'READ_';
CREATE INDEX IF NOT EXISTS event_message ON event (message);  -- the inbox's page of one message
-- Only what a fault met has rows here: emails, with its name and whether the client heard of them; and events.
CREATE TABLE IF NOT EXISTS disturbed_message (message INTEGER PRIMARY KEY, answered INTEGER NOT NULL, faults TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS disturbed_event (
  event INTEGER PRIMARY KEY, happens_at REAL NOT NULL, copy_of INTEGER, has_own_id INTEGER NOT NULL,
  is_missing INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT, endpoint TEXT NOT NULL, headers BLOB NOT NULL, body BLOB NOT NULL,
  attempts INTEGER NOT NULL, created_at REAL NOT NULL, due_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS usage (minute INTEGER PRIMARY KEY, recipients INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS resource (
  kind TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL, created_at REAL NOT NULL, PRIMARY KEY (kind, name));
CREATE TABLE IF NOT EXISTS suppression (
  address TEXT PRIMARY KEY, reason TEXT NOT NULL, created_at REAL NOT NULL, message_id TEXT, feedback_id TEXT);
CREATE TABLE IF NOT EXISTS subscription (
  arn TEXT PRIMARY KEY, topic_arn TEXT NOT NULL, protocol TEXT NOT NULL, endpoint TEXT NOT NULL,
  confirmed INTEGER NOT NULL, token TEXT NOT NULL, authenticated_unsubscribe INTEGER NOT NULL DEFAULT 0,
  UNIQUE (topic_arn, protocol, endpoint));
"""


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the file; each thread uses a connection of its own."""
    mode = "ro" if read_only else "rwc"
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=30,
                         check_same_thread=False)  # fmt: skip
    db.row_factory = sqlite3.Row
    if not read_only:
        db.execute("PRAGMA journal_mode = WAL")
        # A killed process loses nothing in this mode; only a crash of the machine could.
        db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA cache_size = -32000")
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Commit what happens inside, or nothing of it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


class Store:
    """The file and its one writing connection. Only the desk's thread may use it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.db = connect(path)
        self.db.executescript(_SCHEMA)
        self._content_ids: OrderedDict[bytes, int] = OrderedDict()

    def close(self) -> None:
        """Fold the write-ahead log back into the file and close it."""
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.db.close()

    def content_id(self, content: Json) -> int:
        """Return the id of this constant content, storing it when it is new."""
        body = orjson.dumps(content)
        digest = hashlib.sha256(body).digest()
        known = self._content_ids.get(digest)
        if known is not None:
            return known
        self.db.execute("INSERT OR IGNORE INTO content (digest, body) VALUES (?, ?)", (digest, zlib.compress(body)))
        row = self.db.execute("SELECT id FROM content WHERE digest = ?", (digest,)).fetchone()
        self._content_ids[digest] = int(row["id"])
        if len(self._content_ids) > 256:
            self._content_ids.popitem(last=False)
        return int(row["id"])

    def forget_messages(self) -> None:
        """Delete every message with its events and the usage of the day; resources stay."""
        with transaction(self.db):
            for table in _OF_MESSAGES:
                self.db.execute(f"DELETE FROM {table}")
        self._content_ids.clear()

    def resource(self, kind: str, name: str) -> Json | None:
        """Return one resource (identity, template, topic, …) by its name."""
        return resource(self.db, kind, name)

    def resources(self, kind: str, prefix: str = "") -> list[tuple[str, Json, float]]:
        """Return (name, body, created at) of a kind, sorted by name."""
        rows = self.db.execute(
            "SELECT name, body, created_at FROM resource WHERE kind = ? AND substr(name, 1, ?) = ? ORDER BY name",
            (kind, len(prefix), prefix),
        )
        return [(row["name"], _loads(row["body"]), row["created_at"]) for row in rows]

    def put_resource(self, kind: str, name: str, body: Json, at: float) -> None:
        """Create or replace a resource; a replaced one keeps its age."""
        self.db.execute(
            "INSERT INTO resource (kind, name, body, created_at) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (kind, name) DO UPDATE SET body = excluded.body",
            (kind, name, orjson.dumps(body), at),
        )

    def delete_resource(self, kind: str, name: str) -> bool:
        """Delete a resource and say whether it was there."""
        return self.db.execute("DELETE FROM resource WHERE kind = ? AND name = ?", (kind, name)).rowcount == 1


def resource(db: sqlite3.Connection, kind: str, name: str) -> Json | None:
    """Return one resource by its name."""
    row = db.execute("SELECT body FROM resource WHERE kind = ? AND name = ?", (kind, name)).fetchone()
    return None if row is None else _loads(row["body"])


def suppressed_reasons(db: sqlite3.Connection, configuration_set: Json | None) -> list[str]:
    """Return the reasons for which addresses are suppressed: the configuration set's, else the account's."""
    options = (configuration_set or {}).get("SuppressionOptions") or {}
    if options.get("SuppressedReasons") is not None:
        return list(options["SuppressedReasons"])
    account = resource(db, "account", "suppression") or {}
    return list(account.get("SuppressedReasons", ACCOUNT_REASONS))


def _loads(body: bytes) -> Json:
    value: Json = orjson.loads(body)
    return value


def pack(entries: list[Json]) -> bytes:
    """Write what the recipients of a call don't share; its repetition makes it small."""
    return zlib.compress(orjson.dumps(entries), 1)


@lru_cache(maxsize=64)
def unpack_submission(body: bytes) -> list[Json]:
    """Read what `pack` wrote. The last calls stay unpacked: their events come one by one."""
    entries: list[Json] = orjson.loads(zlib.decompress(body))
    return entries


@lru_cache(maxsize=32)
def unpack_content(body: bytes) -> Json:
    """Read a stored constant content."""
    return _loads(zlib.decompress(body))


MESSAGE_COLUMNS = """
  m.id, m.message_id, m.position, m.accepted_at, m.recipient, m.subject, m.tag_m, m.outcome, m.reader,
  s.configuration_set, s.body AS submission_body, c.body AS content_body
  FROM message m JOIN submission s ON s.id = m.submission_id JOIN content c ON c.id = s.content_id
"""


class StoredMessage:
    """An accepted email as it was stored: constant content, its own entry, and what became of it."""

    __slots__ = ("configuration_set", "content", "entry", "row")

    def __init__(self, row: sqlite3.Row) -> None:
        self.row = row
        self.content = unpack_content(row["content_body"])
        self.entry = unpack_submission(row["submission_body"])[row["position"]]
        self.configuration_set: str | None = row["configuration_set"]

    def __getitem__(self, column: str) -> Any:
        """Return a column of the message's row."""
        return self.row[column]

    @property
    def tags(self) -> dict[str, str]:
        """Return the tags the sender gave: the entry's replace the call's of the same name."""
        pairs = [*self.content.get("tags", []), *self.entry.get("tags", [])]
        return {tag["Name"]: tag["Value"] for tag in pairs}

    @property
    def destination(self) -> list[str]:
        """Return every recipient, as the events list them."""
        to: list[str] = self.entry["to"] + self.entry.get("cc", []) + self.entry.get("bcc", [])
        return to


def message(db: sqlite3.Connection, message_id: int) -> StoredMessage | None:
    """Load one message by its number."""
    row = db.execute(f"SELECT {MESSAGE_COLUMNS} WHERE m.id = ?", (message_id,)).fetchone()
    return None if row is None else StoredMessage(row)
