"""What is measured in a soak: memory of each process, connections, tables, and how far the work is behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import redis

from tests.soak.report import Series

QUEUES = ("send", "events", "imports", "default")
# Tables that keep what they get: what one row costs must not grow. Those that are emptied again: their size must not.
KEEPING = (
    "delivery_message",
    "delivery_message_batch",
    "delivery_send_call",
    "delivery_event",
    "delivery_inbox_seen",
    "subscribers_subscriber",
)
EMPTIED = ("delivery_inbox", "delivery_account_pace", "delivery_engine_slot", "delivery_mailout_counter")

_TABLE = """
SELECT COALESCE(sum(pg_relation_size(t.relid)), 0), COALESCE(sum(pg_indexes_size(t.relid)), 0),
       COALESCE(sum(s.n_live_tup), 0), COALESCE(sum(s.n_dead_tup), 0)
  FROM (SELECT relid FROM pg_partition_tree(%(name)s::regclass) WHERE isleaf
        UNION SELECT %(name)s::regclass) t JOIN pg_stat_user_tables s ON s.relid = t.relid
"""
MEGABYTE = 2**20
NO_VACUUM_DUE = (
    1000  # dead rows; vacuum looks once a minute, in which a small table that is worked on gets some hundred
)
OWN_NAME = "soak"  # of the connections of this process, which plays the people outside; autovacuum is nobody's, too

Key = tuple[str, str]  # name and kind, see report.LIMITS


def series_of(times: Sequence[float], samples: Sequence[Mapping[Key, float]]) -> list[Series]:
    """Each quantity with the times at which it was there, without what a short-lived process left behind.

    A worker's children are there only some seconds after the worker, and may be replaced.
    """
    found = []
    for name, kind in sorted({key for sample in samples for key in sample}, key=lambda key: (key[1], key[0])):
        points = [(at, sample[name, kind]) for at, sample in zip(times, samples, strict=True) if (name, kind) in sample]
        if 2 * len(points) > len(samples):
            found.append(Series(name, kind, [at for at, _ in points], [value for _, value in points]))
    return found


def dead_share(live: float, dead: float) -> float:
    """Dead rows among all, without those that no vacuum is due for: in a table of a few rows they are nearly all."""
    excess = max(dead - NO_VACUUM_DUE, 0.0)
    return excess / max(live + excess, 1.0)


class Sampler:
    """Takes samples of an installation: `roots` are its processes by name, whose children count apart."""

    def __init__(self, database_url: str, broker: str, roots: Mapping[str, int]) -> None:
        self._connection = psycopg.connect(database_url, autocommit=True, application_name=OWN_NAME)
        self._broker = redis.Redis.from_url(broker)
        self._roots = {name: psutil.Process(pid) for name, pid in roots.items()}
        self.times: list[float] = []
        self.samples: list[dict[Key, float]] = []

    def close(self) -> None:
        self._connection.close()
        self._broker.close()

    def take(self, at: float) -> dict[Key, float]:
        """Measure everything, `at` seconds after the start."""
        sample = self._memory() | self._sessions() | self._tables() | self._lags()
        self.times.append(at)
        self.samples.append(sample)
        return sample

    def series(self) -> list[Series]:
        """What was measured, by kind; see series_of."""
        return series_of(self.times, self.samples)

    def _memory(self) -> dict[Key, float]:
        """PSS of each process."""
        found: dict[Key, float] = {}
        for name, root in self._roots.items():
            found[name, "memory MB"] = root.memory_full_info().pss / MEGABYTE
            for place, child in enumerate(sorted(root.children(recursive=True), key=lambda one: one.pid), 1):
                with suppress(psutil.NoSuchProcess):
                    found[f"{name}, child {place}", "memory MB"] = child.memory_full_info().pss / MEGABYTE
        return found

    def _sessions(self) -> dict[Key, float]:
        """How many sessions PostgreSQL has, and the memory of the largest and of one on average.

        Without shared memory, because its buffers fill by design. Not of all together: whether three more are open just then moves that by more than any of them grows in a day.
        """
        rows = self._connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND application_name <> %s",
            [OWN_NAME],
        ).fetchall()
        sizes = []
        for (pid,) in rows:
            with suppress(OSError):  # it ended meanwhile
                sizes.append(_anonymous_pss(pid) / MEGABYTE)
        found = {("database", "connections"): float(len(rows))}
        if sizes:
            found["postgresql, largest session", "memory MB"] = max(sizes)
            found["postgresql, average session", "memory MB"] = sum(sizes) / len(sizes)
        return found

    def _tables(self) -> dict[Key, float]:
        found: dict[Key, float] = {}
        for name in (*KEEPING, *EMPTIED):
            heap, indexes, live, dead = self._table(name)
            if name in KEEPING:
                found[f"{name}, rows", "bytes per row"] = heap / max(live, 1)
                found[f"{name}, indexes", "bytes per row"] = indexes / max(live, 1)
                found[name, "dead share"] = dead_share(live, dead)
            else:
                found[name, "size MB"] = (heap + indexes) / MEGABYTE
        return found

    def _table(self, name: str) -> tuple[float, float, float, float]:
        """Bytes of rows, bytes of indexes, live rows, dead rows; partitions together."""
        while True:
            try:
                row = self._connection.execute(_TABLE, {"name": name}).fetchone()
            except psycopg.errors.DeadlockDetected:
                continue  # a partition was being added: that locks the parent, then the default, and so do we
            heap, indexes, live, dead = map(float, row or (0, 0, 0, 0))
            return heap, indexes, live, dead

    def _lags(self) -> dict[Key, float]:
        row = self._connection.execute(
            "SELECT (SELECT COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - min(received_at)), 0) FROM delivery_inbox),"
            " (SELECT COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - min(due_at)), 0) FROM delivery_message_batch"
            "   WHERE state = 0 AND due_at < clock_timestamp())"
        ).fetchone()
        oldest_event, oldest_batch = row or (0, 0)
        waiting = sum(int(self._broker.llen(queue)) for queue in QUEUES)
        return {
            ("oldest event in the inbox", "seconds"): max(float(oldest_event), 0.0),
            ("oldest batch that is due", "seconds"): max(float(oldest_batch), 0.0),
            ("tasks in the broker", "tasks"): float(waiting),
        }


def _anonymous_pss(pid: int) -> float:
    """Bytes of a process's memory that is neither shared nor of files; a page that several have counts in parts.

    The unique set size would count a page of the shared buffers as long as only one backend has touched it.
    """
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024.0 for line in rollup.splitlines() if line.startswith("Pss_Anon:"))
