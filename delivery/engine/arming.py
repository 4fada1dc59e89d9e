"""Settle and arm: one transaction records the results of finished calls and the intents of the next ones.

Only after its commit does a call go out. When the connection breaks in the middle of the commit nobody knows whether
it happened: then nothing is sent, the results are kept, and a new connection looks for the calls' ids.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import structlog

from amazonsender.core import figures
from delivery.engine.calls import Call, Refused
from delivery.engine.claiming import LEASE_SECONDS, Batch
from delivery.engine.database import Connection, message_table
from delivery.engine.settling import Settlement, Statement, settlements, statements
from delivery.models import MessageState

logger = structlog.get_logger(__name__)


class CommitUnknown(Exception):
    """The connection was lost while committing: the transaction may or may not be there."""


@dataclass(slots=True)
class ArmPlan:
    """What a worker wants to arm: calls that cover [batch.armed_to, upto), and people who will get nothing."""

    batch: Batch
    upto: int
    calls: list[Call] = field(default_factory=list)
    excluded: list[tuple[int, int]] = field(default_factory=list)  # n, reason
    refused: list[Refused] = field(default_factory=list)
    checked_at: datetime | None = None


# The compare-and-set of rule 6: my claim, my position, a living lease by the database's clock, a mailout that is sending.
_ARM = """
WITH armed AS (
    UPDATE delivery_message_batch b
       SET armed_to = %(upto)s, open_calls = b.open_calls + %(count)s, excluded = b.excluded + %(left_out)s, failed = b.failed + %(refused)s,
           lease_until = clock_timestamp() + %(lease)s * interval '1 s',
           state = CASE WHEN %(upto)s = b.hi AND b.open_calls + %(count)s = 0 THEN 2 ELSE b.state END
     WHERE b.id = %(batch)s AND b.claim = %(claim)s AND b.armed_to = %(armed_to)s AND b.state = 1
       AND b.lease_until > clock_timestamp()
       AND EXISTS (SELECT 1 FROM delivery_mailout m WHERE m.id = b.mailout_id AND m.state = 'sending')
    RETURNING 1
), calls AS (
    INSERT INTO delivery_send_call (id, batch_id, mailout_id, claim, lo, hi, checked_at, armed_at)
    SELECT u.id, %(batch)s, %(mailout)s, %(claim)s, u.lo, u.hi, %(checked_at)s, clock_timestamp()
      FROM unnest(%(ids)s::uuid[], %(los)s::int[], %(his)s::int[]) AS u(id, lo, hi) WHERE EXISTS (SELECT 1 FROM armed)
){without}
SELECT count(*) FROM armed
"""

_WITHOUT = """, without AS (
    UPDATE {table} m SET email_no = %(email_no)s, state = (%(states)s::smallint[])[array_position(%(n)s::int[], m.n)],
           reason = (%(reasons)s::smallint[])[array_position(%(n)s::int[], m.n)],
           error = (%(errors)s::text[])[array_position(%(n)s::int[], m.n)]
     WHERE m.mailout_id = %(mailout)s AND m.n BETWEEN %(n_min)s AND %(n_max)s AND m.n = ANY(%(n)s) AND m.state = 0 AND EXISTS (SELECT 1 FROM armed)
)"""


def _arm_statement(plan: ArmPlan) -> Statement:
    batch = plan.batch
    params: dict[str, Any] = {
        "batch": batch.id,
        "claim": batch.claim,
        "mailout": batch.mailout_id,
        "armed_to": batch.armed_to,
        "upto": plan.upto,
        "count": len(plan.calls),
        "left_out": len(plan.excluded),
        "refused": len(plan.refused),
        "lease": LEASE_SECONDS,
        "checked_at": plan.checked_at,
        "ids": [call.id for call in plan.calls],
        "los": [call.lo for call in plan.calls],
        "his": [call.hi for call in plan.calls],
    }
    without = ""
    if plan.excluded or plan.refused:
        without = _WITHOUT.format(table=message_table(batch.mailout_id))
        rows: list[tuple[int, int, int, str | None]] = [
            (n, MessageState.EXCLUDED.value, reason, None) for n, reason in plan.excluded
        ]
        rows += [(n, MessageState.FAILED.value, 0, error) for n, error in plan.refused]
        rows.sort(key=lambda row: row[0])
        columns = zip(*rows, strict=True)
        params |= {"email_no": batch.email_no} | {
            name: list(column) for name, column in zip(("n", "states", "reasons", "errors"), columns, strict=True)
        }
        params |= {"n_min": rows[0][0], "n_max": rows[-1][0]}
    return _ARM.format(without=without), params


class Committed(NamedTuple):
    """armed: the plan's calls may go out. late: finished calls that may have been given up by the reaper before."""

    armed: bool
    late: list[Call]


def settle_and_arm(connection: Connection, finished: list[Call], plan: ArmPlan | None) -> Committed:
    """Commit results and intents together. Only when the answer says `armed` may the plan's calls go out.

    Raises CommitUnknown when the connection broke; psycopg's DeadlockDetected and SerializationFailure leave nothing behind.
    """
    groups = settlements(finished)
    cursors: list[psycopg.Cursor[tuple[Any, ...]]] = []  # per group the last statement's
    arming = None
    try:
        with connection.pipeline() as pipeline, connection.transaction():
            # An index scan over `n = ANY(…)` locks messages in ascending order; a bitmap or a sequence would not.
            connection.execute(
                "SELECT set_config('enable_bitmapscan', 'off', true), set_config('enable_seqscan', 'off', true)"
            )
            for group in groups:
                for sql, params in statements(group):
                    cursor = connection.execute(sql, params)
                cursors.append(cursor)
            if plan is not None:
                arming = connection.execute(*_arm_statement(plan))
            pipeline.sync()  # a failed statement must surface here, where it rolls back
            armed = arming is not None and arming.fetchone() == (1,)
            late = [
                call
                for group, cursor in zip(groups, cursors, strict=True)
                if group.not_sent or (group.calls and cursor.fetchone() != (len(group.calls),))
                for call in finished
                if call.batch.id == group.batch.id
            ]
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        if (
            isinstance(error, psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure)
            and not connection.closed
        ):
            raise
        raise CommitUnknown(str(error)) from error
    if plan is not None and armed:
        plan.batch.armed_to = plan.upto
    if figures.are_kept():
        _count(groups, plan if armed else None)
    return Committed(armed, late)


def _count(groups: list[Settlement], armed: ArmPlan | None) -> None:
    for group in groups:
        figures.count_messages(group.outcomes())
    if armed is not None:
        figures.count_messages({"excluded": len(armed.excluded), "failed": len(armed.refused)})


def find_calls(connection: Connection, ids: list[UUID]) -> dict[UUID, int]:
    """State by id of those calls that the database knows: how an unknown commit is resolved."""
    rows = connection.execute("SELECT id, state FROM delivery_send_call WHERE id = ANY(%s)", [ids]).fetchall()
    return dict(rows)
