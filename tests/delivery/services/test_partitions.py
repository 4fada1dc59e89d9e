"""Numbers of mailouts, and the partitions that hold their messages."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from django.db import OperationalError, connection, connections, transaction

from delivery.services import partitions
from delivery.services.mailouts import new_mailout_id
from delivery.services.partitions import ensure_partitions, message_table, month_number, month_start

FAR = datetime(2141, 11, 15, tzinfo=UTC)
PARENTS = ("delivery_message", "delivery_event", "delivery_inbox_seen")


@pytest.fixture
def far(transactional_db: None) -> Iterator[None]:
    """Partitions of the far months that a test has committed are gone after it, whatever it came to."""
    yield
    with connection.cursor() as cursor:
        for parent in PARENTS:
            for label in ("2141_11", "2141_12", "2142_01"):
                cursor.execute(f"DROP TABLE IF EXISTS {parent}_{label}")


@pytest.mark.parametrize(
    ("at", "number"),
    [
        (datetime(2020, 1, 1, tzinfo=UTC), 0),
        (datetime(2020, 12, 31, tzinfo=UTC), 11),
        (datetime(2021, 1, 1, tzinfo=UTC), 12),
        (datetime(2026, 11, 25, tzinfo=UTC), 82),
    ],
)
def test_months_are_counted_since_2020(at: datetime, number: int) -> None:
    assert month_number(at) == number
    assert month_start(number) == at.replace(day=1)


def test_a_mailouts_messages_lie_in_its_month() -> None:
    assert message_table(82_000_001) == "delivery_message_2026_11"
    assert message_table(82_999_999) == "delivery_message_2026_11"
    assert message_table(83_000_000) == "delivery_message_2026_12"


def test_numbers_run_within_a_month_and_start_again_in_the_next(db: None) -> None:
    november, december = datetime(2141, 11, 30, tzinfo=UTC), datetime(2141, 12, 1, tzinfo=UTC)

    assert [new_mailout_id(at=at) for at in (november, november, december, november)] == [
        1462_000_001,
        1462_000_002,
        1463_000_001,
        1462_000_003,
    ]


def test_partitions_are_made_ahead_and_only_once(db: None) -> None:
    made = ensure_partitions(at=FAR)

    assert sorted(made) == sorted(
        f"{parent}_{label}" for parent in PARENTS for label in ("2141_11", "2141_12", "2142_01")
    )
    assert ensure_partitions(at=FAR) == []
    assert ensure_partitions(at=datetime(2141, 12, 31, tzinfo=UTC), months_ahead=1) == []
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO delivery_message (mailout_id, n, subscriber_id) VALUES (1462000001, 1, 1) RETURNING tableoid::regclass::text"
        )
        assert cursor.fetchone() == ("delivery_message_2141_11",)


def test_what_came_before_its_partition_was_made_moves_there(db: None) -> None:
    """Else it would stand in the way of every later attempt, and with it of all housekeeping."""
    seen, row = (
        "INSERT INTO delivery_inbox_seen (published_at, digest) VALUES (%s, %s)",
        "SELECT tableoid::regclass::text, ",
    )
    with connection.cursor() as cursor:
        cursor.execute(seen, [FAR, b"1" * 16])
        cursor.execute(seen, [FAR.replace(year=2150), b"2" * 16])
        cursor.execute("INSERT INTO delivery_event (mailout_id, n, at, type) VALUES (1462000001, 1, %s, 1)", [FAR])
        cursor.execute("SELECT id, tx::text FROM delivery_event WHERE at = %s", [FAR])
        event = cursor.fetchone()

        made = ensure_partitions(at=FAR, months_ahead=0)

        assert sorted(made) == [f"{parent}_2141_11" for parent in sorted(PARENTS)]
        cursor.execute(row + "digest FROM delivery_inbox_seen WHERE published_at >= %s ORDER BY published_at", [FAR])
        assert [(table, bytes(digest)) for table, digest in cursor.fetchall()] == [
            ("delivery_inbox_seen_2141_11", b"1" * 16),
            ("delivery_inbox_seen_default", b"2" * 16),
        ]
        cursor.execute(row + "id, tx::text FROM delivery_event WHERE at = %s", [FAR])
        assert cursor.fetchone() == ("delivery_event_2141_11", *event)
    assert ensure_partitions(at=FAR, months_ahead=0) == []


def test_four_processes_at_once_make_each_partition_once(far: None) -> None:
    barrier = threading.Barrier(4)
    made: list[str] = []

    def ensure() -> None:
        barrier.wait()
        try:
            made.extend(ensure_partitions(at=FAR))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=ensure) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == len(set(made)) == 9


def is_waited_for(table: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND relation = %s::regclass)", [table])
        return bool(cursor.fetchone()[0])


def test_a_maker_gives_way_to_a_reader_who_has_the_default_and_wants_the_parent(far: None) -> None:
    made: list[str] = []

    def ensure() -> None:
        try:
            made.extend(ensure_partitions(at=FAR, months_ahead=0))
        finally:
            connections.close_all()

    maker = threading.Thread(target=ensure)
    with connection.cursor() as cursor:
        cursor.execute("SHOW deadlock_timeout")
        assert cursor.fetchone() == ("1s",)
        with transaction.atomic():
            cursor.execute("SELECT count(*) FROM delivery_event_default")
            maker.start()
            deadline = time.monotonic() + 10
            while not is_waited_for("delivery_event_default"):
                assert time.monotonic() < deadline, "the maker does not wait for the default partition"
            cursor.execute("SELECT count(*) FROM delivery_event")  # the maker holds it; nobody is ended
    maker.join()

    assert sorted(made) == [f"{parent}_2141_11" for parent in sorted(PARENTS)]


def test_another_failure_of_the_database_is_told_at_once(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def fail(name: str, *_args: object, **_options: object) -> list[str]:
        tried.append(name)
        raise OperationalError("no space left on device")

    monkeypatch.setattr(partitions, "_make", fail)

    with pytest.raises(OperationalError, match="no space"):
        ensure_partitions(at=FAR, months_ahead=0)

    assert len(tried) == 1


def test_a_maker_who_never_gets_its_locks_says_so(far: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "LOCK_MILLISECONDS", 20)
    monkeypatch.setattr(partitions, "LOCK_ATTEMPTS", 2)
    raised: list[OperationalError] = []

    def ensure() -> None:
        try:
            ensure_partitions(at=FAR, months_ahead=0)
        except OperationalError as error:
            raised.append(error)
        finally:
            connections.close_all()

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM delivery_event_default")
        maker = threading.Thread(target=ensure)
        maker.start()
        maker.join()

    assert "lock timeout" in str(raised[0])


def test_a_partition_made_by_somebody_else_meanwhile_is_not_made_again(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both looked before either had the lock; the second look is behind it."""
    answers = iter([(False,), (True,)])

    class Cursor:
        statements: list[str] = []

        def __enter__(self) -> Cursor:
            return self

        def __exit__(self, *_args: object) -> None: ...

        def execute(self, sql: str, *_args: object) -> None:
            self.statements.append(sql)

        def fetchone(self) -> tuple[bool]:
            return next(answers)

    class Connection:
        def cursor(self) -> Cursor:
            return Cursor()

    monkeypatch.setattr(partitions, "connection", Connection())

    assert partitions._ensure("delivery_message_2141_11", "delivery_message", "1", "2", column="mailout_id") == []
    assert not any("CREATE" in sql for sql in Cursor.statements)
