"""Statements that must find people by index, also in a mailout of which the statistics know nothing yet."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

import pytest

from delivery.engine.arming import ArmPlan, _arm_statement
from delivery.engine.claiming import Batch, claim_batch
from delivery.engine.database import Connection
from delivery.engine.late import _LOCK, _MOVE
from delivery.engine.reading import _COLUMNS
from delivery.engine.settling import Settlement, Statement, statements
from delivery.models import MessageState
from delivery.services.partitions import message_table
from tests.delivery.engine.world import World

BIG = 30_000


@pytest.fixture
def fresh(world: World, raw: Connection) -> Batch:
    """A claimed batch of a new mailout, in a partition that holds a big one of which the statistics know."""
    world.add_people(300)
    big = world.launch("campaign:big")
    table = message_table(big.pk)
    raw.execute(
        f"INSERT INTO {table} (mailout_id, n, subscriber_id, state) SELECT %s, n, n + 1000000, 1 FROM generate_series(301, %s) n",
        [big.pk, BIG],
    )
    raw.execute("UPDATE delivery_message_batch SET state = 2")
    raw.execute(f"ANALYZE {table}")
    world.launch("campaign:fresh")
    batch = claim_batch(raw, world.account.pk, turn=0)
    assert batch is not None
    return batch


def plan_of(raw: Connection, statement: Statement) -> str:
    with raw.transaction(force_rollback=True):
        raw.execute("SET LOCAL enable_bitmapscan = off")  # as settle_and_arm does
        raw.execute("SET LOCAL enable_seqscan = off")
        rows = raw.execute("EXPLAIN (ANALYZE, TIMING OFF) " + statement[0], statement[1]).fetchall()
    return "\n".join(row[0] for row in rows)


def message_scans(plan: str, batch: Batch) -> list[str]:
    """Each scan of the ledger with the condition below it."""
    table = message_table(batch.mailout_id)
    return re.findall(rf"(?:Index|Seq|Bitmap)[^\n]* on {table}[^\n]*\n[^\n]*", plan)


def check(raw: Connection, batch: Batch, statement: Statement, *, people: int) -> None:
    plan = plan_of(raw, statement)
    scans = message_scans(plan, batch)
    assert len(scans) == 1, plan
    assert "Index Scan using" in scans[0], plan
    assert "_pkey" in scans[0], plan
    condition = scans[0].splitlines()[1]
    assert "Index Cond" in condition, plan
    assert re.search(r"\(n >= '?1'?\b", condition), plan
    assert re.search(rf"\(n <= '?{people}'?\b", condition), plan
    removed = [int(number) for number in re.findall(r"Rows Removed by Filter: (\d+)", plan)]
    assert max(removed, default=0) <= people, plan


def settlement(batch: Batch, **people: Any) -> Settlement:
    made = Settlement(batch)
    for name, value in people.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    "people",
    [
        {"final": [(n, int(MessageState.UNKNOWN), "e") for n in range(1, 51)]},
        {"retry": [(n, "e") for n in range(1, 51)]},
        {"single": [(n, "e") for n in range(1, 51)]},
    ],
)
def test_settling_finds_people_by_number_with_bounds(
    raw: Connection, fresh: Batch, people: dict[str, list[tuple[Any, ...]]]
) -> None:
    _lock, *found = statements(settlement(fresh, **people))

    assert found
    for statement in found:
        check(raw, fresh, statement, people=50)


def test_accepted_people_are_found_by_number_with_bounds(raw: Connection, fresh: Batch) -> None:
    group = settlement(fresh, calls=[uuid4()], accepted=[(n, f"id-{n}") for n in range(1, 51)])

    (statement,) = statements(group)

    check(raw, fresh, statement, people=50)


def test_people_not_sent_are_found_by_number_with_bounds(raw: Connection, fresh: Batch) -> None:
    group = settlement(fresh, not_sent=[uuid4()], not_sent_people=list(range(1, 51)))

    (statement,) = statements(group)

    sql, params = statement
    # as if the call were armed: else the scan is skipped
    check(raw, fresh, (sql.replace("= cardinality(%(calls)s)", "= 0"), params), people=50)


def test_people_left_out_at_arming_are_found_by_number_with_bounds(raw: Connection, fresh: Batch) -> None:
    plan = ArmPlan(fresh, upto=51, excluded=[(n, 4) for n in range(1, 51)])

    check(raw, fresh, _arm_statement(plan), people=50)


@pytest.mark.parametrize("sql", [_LOCK, _MOVE])
def test_late_answers_find_people_by_number_with_bounds(raw: Connection, fresh: Batch, sql: str) -> None:
    params = {
        "mailout": fresh.mailout_id,
        "n": list(range(1, 51)),
        "n_min": 1,
        "n_max": 50,
        "states": [1] * 50,
        "again": [0] * 50,
        "errors": [None] * 50,
        "provider_ids": ["x"] * 50,
    }

    check(raw, fresh, (sql.format(table=message_table(fresh.mailout_id)), params), people=50)


def test_reading_finds_people_by_range(raw: Connection, fresh: Batch) -> None:
    sql = _COLUMNS.format(table=message_table(fresh.mailout_id)) + " AND m.n >= 1 AND m.n <= 50 ORDER BY m.n"
    params = {"mailout": fresh.mailout_id, "attempt": 0, "guard": fresh.frozen_at}

    check(raw, fresh, (sql, params), people=50)


def test_people_are_locked_in_ascending_order_whatever_order_they_are_named_in(raw: Connection, fresh: Batch) -> None:
    """An index scan over an array sorts it; two settlers with the same people then never wait for each other in a ring."""
    group = settlement(fresh, calls=[uuid4()], accepted=[(n, f"id-{n}") for n in reversed(range(1, 51))])
    (statement,) = statements(group)
    sql = statement[0].replace("RETURNING 1\n)\nUPDATE", "RETURNING m.n\n)\nUPDATE")
    sql = sql[: sql.rindex("UPDATE delivery_message_batch")] + "SELECT n FROM moved"

    with raw.transaction(force_rollback=True):
        raw.execute("SET LOCAL enable_bitmapscan = off")
        raw.execute("SET LOCAL enable_seqscan = off")
        numbers = [row[0] for row in raw.execute(sql, statement[1]).fetchall()]

    assert numbers == list(range(1, 51))
