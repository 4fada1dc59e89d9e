"""Consumers read in commit order, also when a transaction commits late."""

from __future__ import annotations

import time

import psycopg
import pytest
from django.db import connection

from delivery.selectors.event_stream import START, read_events

INSERT = "INSERT INTO delivery_event (mailout_id, n, type, at) VALUES (77, %s, 2, now())"


def connect() -> psycopg.Connection:
    settings = connection.settings_dict
    return psycopg.connect(
        host=settings["HOST"],
        port=settings["PORT"],
        user=settings["USER"],
        password=settings["PASSWORD"] or None,
        dbname=settings["NAME"],
    )


def read_all(expected: int) -> list[int]:
    """Read page by page. A transaction of any database on the server delays what may be read, so this waits."""
    seen: list[int] = []
    position = START
    deadline = time.monotonic() + 60
    while len(seen) < expected and time.monotonic() < deadline:
        page = read_events(after=position, limit=3)
        seen += [event.n for event in page]
        position = page[-1].position if page else position
        time.sleep(0 if page else 0.05)
    assert read_events(after=position) == []
    return seen


@pytest.mark.django_db(transaction=True)
def test_an_event_that_commits_late_is_not_skipped() -> None:
    with connect() as slow, connect() as fast:
        slow.execute(INSERT, [1])
        fast.execute(INSERT, [2])
        fast.commit()

        early = read_events(after=START)
        slow.commit()

    assert early == []
    assert read_all(2) == [1, 2]


@pytest.mark.django_db(transaction=True)
def test_pages_follow_each_other_without_gaps_and_repeats() -> None:
    with connect() as writer:
        for n in range(1, 8):
            writer.execute(INSERT, [n])
            if n % 2:
                writer.commit()
        writer.commit()

    assert read_all(7) == [1, 2, 3, 4, 5, 6, 7]
