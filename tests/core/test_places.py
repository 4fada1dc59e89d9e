from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

import pytest
from django.db import DatabaseError, connection, connections
from structlog.testing import capture_logs

from amazonsender.core.places import Places

PATIENCE = 60


def in_threads(*works: Callable[[], None]) -> None:
    """Each in a thread of its own, one after the other."""
    for work in works:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(PATIENCE)


def ask() -> int:
    """Which of PostgreSQL's processes answers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def test_so_many_are_worked_on_at_once_and_a_failure_gives_its_place_back() -> None:
    places, inside, gate, started = Places(2), threading.Semaphore(0), threading.Event(), list[str]()

    def work(name: str) -> None:
        with suppress(RuntimeError), places.taken():
            started.append(name)
            inside.release()
            gate.wait(PATIENCE)
            if name == "bad":
                raise RuntimeError("broken")

    threads = [threading.Thread(target=work, args=(name,)) for name in ("bad", "bad", "good", "good")]
    for thread in threads:
        thread.start()
    for _ in range(2):
        assert inside.acquire(timeout=PATIENCE)

    assert not inside.acquire(blocking=False)
    gate.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(started) == ["bad", "bad", "good", "good"]


@pytest.mark.django_db(transaction=True)
def test_a_connection_is_lent_to_whichever_thread_works_and_there_is_none_that_nobody_needs() -> None:
    places = Places(3)
    backends: list[int] = []
    left: list[int] = []

    def work() -> None:
        with places.taken():
            backends.append(ask())
        left.append(len(connections.all(initialized_only=True)))

    in_threads(work, work, work)

    assert len(backends) == 3
    assert len(set(backends)) == 1
    assert left == [0, 0, 0]
    in_threads(lambda: close_all_of(places))


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_broke_is_replaced_and_what_a_thread_opened_beside_is_closed() -> None:
    places = Places(1)
    backends: list[int] = []

    def work() -> None:
        with places.taken():
            backends.append(ask())

    def end_it() -> None:
        with places.taken(), suppress(DatabaseError), connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    def stream_then_work() -> None:
        beside = ask()
        with places.taken():
            backends.append(ask())
            assert backends[-1] != beside

    in_threads(work, end_it, work, stream_then_work)

    assert len(backends) == 3
    assert backends[0] != backends[1]
    assert backends[1] == backends[2]
    in_threads(lambda: close_all_of(places))


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_cannot_even_be_closed_is_dropped_and_the_place_stays() -> None:
    places = Places(1)
    backends: list[int] = []

    def fail() -> None:
        raise DatabaseError("gone")

    def break_it() -> None:
        with places.taken():
            backends.append(ask())
            vars(connections["default"])["close_if_unusable_or_obsolete"] = fail

    def work() -> None:
        with places.taken():
            backends.append(ask())

    with capture_logs() as lines:
        in_threads(break_it, work)

    assert len(set(backends)) == 2
    assert [line["event"] for line in lines] == ["http.connection_dropped"]
    in_threads(lambda: close_all_of(places))


def close_all_of(places: Places) -> None:
    with places.taken():
        connections.close_all()
