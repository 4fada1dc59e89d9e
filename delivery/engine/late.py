"""Answers that come after the reaper gave their call up: `unknown` turns into its truth.

Somebody may have decided meanwhile to send to those people again. That the first call was accepted is the truth then,
too: who waits for the second gets none, and who was not reached by it was reached by the first. What else a call of an
earlier attempt says moves nobody: the later attempt decides.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import psycopg

from delivery.engine.calls import Call
from delivery.engine.claiming import Batch
from delivery.engine.database import Connection, message_table
from delivery.engine.settling import people_params
from delivery.models import CallState, MessageState
from delivery.providers.base import EntryResult, Outcome
from delivery.services.events.ledger import Move, distrust_statistics, move_counters, open_cursor

DEADLOCK_RETRIES = 5

Entries = dict[int, EntryResult]  # by n

_CLOSE = "UPDATE delivery_send_call SET state = %s, settled_at = clock_timestamp() WHERE id = %s AND state = 2"
_NOT_SENT = EntryResult(Outcome.RETRY, "", "not sent: the worker stood still, and the call was too old to go out")

# An index scan locks in ascending order; the sort says so. Who has a provider id is known to be sent.
_LOCK = """
SELECT n, state, attempt FROM {table}
 WHERE mailout_id = %(mailout)s AND n BETWEEN %(n_min)s AND %(n_max)s AND n = ANY(%(n)s) AND provider_id IS NULL
 ORDER BY n FOR NO KEY UPDATE
"""

_MOVE = """
UPDATE {table} m
   SET state = (%(states)s::smallint[])[array_position(%(n)s::int[], m.n)],
       attempt = m.attempt + (%(again)s::smallint[])[array_position(%(n)s::int[], m.n)],
       error = (%(errors)s::text[])[array_position(%(n)s::int[], m.n)],
       provider_id = (%(provider_ids)s::text[])[array_position(%(n)s::int[], m.n)],
       sent_at = CASE WHEN (%(provider_ids)s::text[])[array_position(%(n)s::int[], m.n)] IS NOT NULL
                      THEN COALESCE(m.sent_at, clock_timestamp()) ELSE m.sent_at END
 WHERE m.mailout_id = %(mailout)s AND m.n BETWEEN %(n_min)s AND %(n_max)s AND m.n = ANY(%(n)s)
"""

_AGAIN = """
INSERT INTO delivery_message_batch
    (mailout_id, account_id, organization_id, lane, email_no, lo, hi, members, attempt, call_size, armed_to, due_at)
VALUES (%(mailout)s, %(account)s, %(organization)s, %(lane)s, %(email_no)s, 0, cardinality(%(members)s::int[]), %(members)s,
        %(attempt)s, %(call_size)s, 0, clock_timestamp())
"""


class _Person(NamedTuple):
    n: int
    attempt: int
    was: int
    state: int
    again: int
    error: str | None
    provider_id: str | None


def settle_late(connection: Connection, calls: list[Call]) -> None:
    """Apply results to calls that were given up meanwhile. Does nothing for calls that are settled already."""
    for call in calls:
        if call.result is None:  # never handed over: who became unknown meanwhile got nothing, and may be sent to
            _settle_patiently(connection, call, dict.fromkeys(call.people, _NOT_SENT))
        elif len(call.result.entries) == len(call.people):
            _settle_patiently(connection, call, dict(zip(call.people, call.result.entries, strict=True)))


def _settle_patiently(connection: Connection, call: Call, entries: Entries) -> None:
    """A stop in mid-send locks batches before the people who wait in them; what a call answered must not be lost by that."""
    chances = DEADLOCK_RETRIES
    while True:
        try:
            with connection.transaction():
                return _settle(connection, call, entries)
        except psycopg.errors.DeadlockDetected:
            if not chances:
                raise
            chances -= 1


def _settle(connection: Connection, call: Call, entries: Entries) -> None:
    """Locks as everywhere: the call, messages by n, the mailout, batches."""
    closed = CallState.NOT_SENT if call.result is None else CallState.SETTLED
    if connection.execute(_CLOSE, [closed.value, call.id]).rowcount != 1:
        return
    cursor = open_cursor(connection)
    distrust_statistics(cursor)
    batch = call.batch
    table = message_table(batch.mailout_id)
    params: dict[str, Any] = {"mailout": batch.mailout_id} | people_params(call.people)
    rows = connection.execute(_LOCK.format(table=table), params).fetchall()
    people = _judge(connection, batch, entries, rows)
    if not people:
        return
    params = {"mailout": batch.mailout_id} | people_params([person.n for person in people])
    params |= {
        "states": [person.state for person in people],
        "again": [person.again for person in people],
        "errors": [person.error for person in people],
        "provider_ids": [person.provider_id for person in people],
    }
    connection.execute(_MOVE.format(table=table), params)
    moves = [
        Move(batch.mailout_id, person.n, person.attempt, person.was, person.state)
        for person in people
        if person.state != person.was
    ]
    if moves:
        move_counters(cursor, moves)
    if members := [person.n for person in people if person.again]:
        connection.execute(
            _AGAIN,
            {
                "mailout": batch.mailout_id,
                "account": batch.account_id,
                "organization": batch.organization_id,
                "lane": batch.lane,
                "email_no": batch.email_no,
                "members": members,
                "attempt": batch.attempt + 1,
                "call_size": batch.call_size,
            },
        )


def _judge(connection: Connection, batch: Batch, entries: Entries, rows: list[tuple[Any, ...]]) -> list[_Person]:
    """What becomes of those whom the answer tells something new about."""
    has_refusals = any(entry.outcome == Outcome.RETRY for entry in entries.values())
    is_over = has_refusals and _is_over(connection, batch.mailout_id)
    people = []
    for n, state, attempt in rows:
        outcome, provider_id, error = entries[n]
        if outcome == Outcome.ACCEPTED and (state == MessageState.UNKNOWN or attempt > batch.attempt):
            sent = MessageState.SIMULATED if batch.is_dry_run else MessageState.SENT
            # Who waits is only marked: an armed call may be out, and its settling moves them.
            now = state if state in (MessageState.QUEUED, MessageState.SENT) else sent.value
            people.append(_Person(n, attempt, state, now, 0, None, provider_id))
        elif state != MessageState.UNKNOWN or attempt != batch.attempt:
            continue
        elif outcome == Outcome.REJECTED or (outcome == Outcome.RETRY and is_over):
            # Refused after the mailout was over: no batch of it is claimed any more.
            people.append(_Person(n, attempt, state, MessageState.FAILED.value, 0, error, None))
        elif outcome == Outcome.RETRY:
            people.append(_Person(n, attempt, state, MessageState.QUEUED.value, 1, error, None))
    return people


def _is_over(connection: Connection, mailout_id: int) -> bool:
    """The lock makes a tick that is finishing the mailout come before or after, never in between."""
    row = connection.execute(
        "SELECT finished_at IS NOT NULL FROM delivery_mailout WHERE id = %s FOR NO KEY UPDATE", [mailout_id]
    ).fetchone()
    return row == (True,)
