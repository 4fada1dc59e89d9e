"""Packed columns arrive in PostgreSQL as what they were."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from delivery.engine.database import Connection
from delivery.services.events import arrays
from delivery.services.events.arrays import columns, pack, register

TYPES = {"h": "smallint", "i": "integer", "q": "bigint", "t": "timestamptz", "b": "bytea", "s": "text"}
NOON = datetime(2026, 11, 3, 12, 0, 0, 1, tzinfo=UTC)


def arrived(raw: Connection, kind: str, values: Sequence[Any]) -> list[Any]:
    with raw.cursor() as cursor:
        register(cursor)
        cursor.execute(f"SELECT v FROM unnest(%b::{TYPES[kind]}[]) AS v".encode(), [pack(kind, values)], binary=True)
        return [row[0] for row in cursor]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("h", [0, 1, -1, 32_767, -32_768]),
        ("i", [0, 258, -1, 2_147_483_647, -2_147_483_648]),
        ("q", [0, 258, -1, 9_223_372_036_854_775_807, -9_223_372_036_854_775_808]),
        (
            "t",
            [NOON, None, datetime(1970, 1, 1, tzinfo=UTC), NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))],
        ),
        ("b", [b"", None, b"\0\xff", b"x" * 70_000]),
        ("s", ["", None, "Zoë", "x" * 70_000]),
    ],
)
def test_every_kind_arrives_as_it_was(raw: Connection, kind: str, values: list[Any]) -> None:
    assert arrived(raw, kind, values) == values


@pytest.mark.parametrize("kind", TYPES)
def test_an_empty_column_is_an_empty_array(raw: Connection, kind: str) -> None:
    assert arrived(raw, kind, []) == []


def test_half_a_surrogate_pair_becomes_a_question_mark(raw: Connection) -> None:
    assert arrived(raw, "s", ["a\ud83d"]) == ["a?"]


@pytest.mark.parametrize(("kind", "number"), [("h", 32_768), ("i", 2_147_483_648)])
def test_a_number_that_does_not_fit_is_refused_rather_than_cut(kind: str, number: int) -> None:
    with pytest.raises(OverflowError):
        pack(kind, [number])


def test_rows_become_one_column_per_letter(raw: Connection) -> None:
    with raw.cursor() as cursor:
        register(cursor)
        cursor.execute("SELECT * FROM unnest(%b::int[], %b::text[])", columns("is", [(1, "a"), (2, None)]))
        assert cursor.fetchall() == [(1, "a"), (2, None)]
        cursor.execute("SELECT * FROM unnest(%b::int[], %b::text[])", columns("is", []))
        assert cursor.fetchall() == []


@pytest.mark.parametrize("order", ["little", "big"])
def test_numbers_leave_in_network_order_whatever_the_machine_s_is(monkeypatch: pytest.MonkeyPatch, order: str) -> None:
    machine_s = array("h", [258])
    if order != sys.byteorder:
        machine_s.byteswap()
    monkeypatch.setattr(arrays, "_swap", order == "little")

    assert arrays._big_endian(machine_s) == b"\1\2"
