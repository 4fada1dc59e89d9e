"""What became of finished calls, as statements of the settle-and-arm transaction.

Order of locks, here and in every other writer: calls, messages by n, batches. Every statement is guarded by the state it
expects, so that applying it twice changes nothing.

Messages are found by bounds and `n = ANY(…)` and their values by position, never by joining an unnested array: a fresh
mailout is not in the statistics yet, the planner takes it for a few rows, and would read the whole of it each time.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from delivery.engine.calls import Call
from delivery.engine.claiming import LEASE_SECONDS, Batch
from delivery.engine.database import message_table
from delivery.models import MessageState
from delivery.providers.base import ACCEPTED, EntryResult, Outcome, Signal

Statement = tuple[str, dict[str, Any]]

BACKOFF_FIRST_SECONDS = 2.0
BACKOFF_LONGEST_SECONDS = 900.0
MAX_ATTEMPTS = 8
# Nobody's fault but the account's: such a message is tried for as long as it takes.
PATIENT_SIGNALS = {
    Signal.THROTTLED,
    Signal.QUOTA_EXCEEDED,
    Signal.ACCOUNT_PAUSED,
    Signal.UNREACHABLE,
    Signal.MISCONFIGURED,
    Signal.ACCOUNT_SUSPENDED,
    Signal.SENDER_NOT_VERIFIED,
}
ONE_BY_ONE = "bad_request"  # error code of a whole call refused for one entry's sake


def backoff_seconds(attempt: int) -> float:
    """Exponential with full jitter, so that a crowd that failed together does not come back together."""
    longest = min(BACKOFF_LONGEST_SECONDS, BACKOFF_FIRST_SECONDS * 2.0 ** min(attempt, 20))
    return longest / 2 + random.uniform(0, longest / 2)  # noqa: S311 - jitter, no secret


@dataclass(slots=True)
class Settlement:
    """Finished calls of one batch, sorted by what became of their people."""

    batch: Batch
    calls: list[UUID] = field(default_factory=list)
    accepted: list[tuple[int, str]] = field(default_factory=list)
    final: list[tuple[int, int, str]] = field(default_factory=list)  # n, state, error
    retry: list[tuple[int, str]] = field(default_factory=list)
    single: list[tuple[int, str]] = field(default_factory=list)  # retried one by one
    is_patient: bool = False
    not_sent: list[UUID] = field(default_factory=list)
    not_sent_people: list[int] = field(default_factory=list)

    def add(self, call: Call) -> None:
        if call.result is None:
            self.not_sent.append(call.id)
            self.not_sent_people += call.people
            return
        self.calls.append(call.id)
        entries = call.result.entries
        if len(entries) != len(call.people):
            entries = [EntryResult(Outcome.AMBIGUOUS, "", "answer: result count differs from entry count")] * len(
                call.people
            )
        self.is_patient = self.is_patient or call.result.signal in PATIENT_SIGNALS
        for n, (outcome, provider_id, error) in zip(call.people, entries, strict=True):
            if outcome == ACCEPTED:
                self.accepted.append((n, provider_id))
            elif outcome == Outcome.AMBIGUOUS:
                self.final.append((n, MessageState.UNKNOWN, error))
            elif outcome == Outcome.REJECTED:
                self.final.append((n, MessageState.FAILED, error))
            elif self.batch.attempt + 1 >= MAX_ATTEMPTS and not self.is_patient:
                self.final.append((n, MessageState.FAILED, f"gave up after {MAX_ATTEMPTS} attempts: {error}"))
            elif error.startswith(ONE_BY_ONE):
                self.single.append((n, error))
            else:
                self.retry.append((n, error))

    def outcomes(self) -> dict[str, int]:
        """Messages by what became of them."""
        unknown = sum(state == MessageState.UNKNOWN for _n, state, _error in self.final)
        return {
            "simulated" if self.batch.is_dry_run else "sent": len(self.accepted),
            "unknown": unknown,
            "failed": len(self.final) - unknown,
            "retry": len(self.retry) + len(self.single) + len(self.not_sent_people),
        }


def settlements(calls: Iterable[Call]) -> list[Settlement]:
    """Group finished calls by batch, in the order in which their messages are locked."""
    groups: dict[int, Settlement] = {}
    for call in sorted(calls, key=lambda call: (call.batch.mailout_id, call.people[0] if call.people else 0)):
        groups.setdefault(call.batch.id, Settlement(call.batch)).add(call)
    return list(groups.values())


# Calls before messages, as everywhere; needed only where messages are written before the calls are closed.
_LOCK_CALLS = "SELECT 1 FROM delivery_send_call WHERE id = ANY(%(calls)s) ORDER BY id FOR NO KEY UPDATE"

_ACCEPTED = """
WITH settled AS (
    UPDATE delivery_send_call SET state = 1, settled_at = clock_timestamp() WHERE id = ANY(%(calls)s) AND state = 0 RETURNING 1
), moved AS (
    UPDATE {table} m SET state = %(state)s, sent_at = clock_timestamp(), email_no = %(email_no)s,
           provider_id = (%(provider_ids)s::{array})[{position}]
     WHERE m.mailout_id = %(mailout)s AND m.n BETWEEN %(n_min)s AND %(n_max)s AND m.state = 0 AND m.attempt = %(attempt)s
       AND {is_among}
    RETURNING 1
)
UPDATE delivery_message_batch b
   SET sent = b.sent + (SELECT count(*) FROM moved),
       open_calls = b.open_calls - (SELECT count(*) FROM settled),
       state = CASE WHEN b.state IN (0, 1) AND b.armed_to = b.hi AND b.open_calls = (SELECT count(*) FROM settled) THEN 2 ELSE b.state END,
       lease_until = CASE WHEN b.state = 1 AND b.claim = %(claim)s THEN clock_timestamp() + %(lease)s * interval '1 s' ELSE b.lease_until END
 WHERE b.id = %(batch)s
RETURNING (SELECT count(*) FROM settled)
"""

# An event may come before its send result: the row is queued still, but its provider id proves that it went out.
_FINAL = """
WITH moved AS (
    UPDATE {table} m SET email_no = %(email_no)s,
           state = CASE WHEN m.provider_id IS NOT NULL THEN 1 ELSE (%(states)s::smallint[])[array_position(%(n)s::int[], m.n)] END,
           error = CASE WHEN m.provider_id IS NULL THEN (%(errors)s::text[])[array_position(%(n)s::int[], m.n)] END
     WHERE m.mailout_id = %(mailout)s AND m.n BETWEEN %(n_min)s AND %(n_max)s AND m.n = ANY(%(n)s) AND m.state = 0 AND m.attempt = %(attempt)s
    RETURNING m.state
)
UPDATE delivery_message_batch b
   SET sent = b.sent + (SELECT count(*) FROM moved WHERE state = 1),
       failed = b.failed + (SELECT count(*) FROM moved WHERE state = 3),
       unknown = b.unknown + (SELECT count(*) FROM moved WHERE state = 4)
 WHERE b.id = %(batch)s
"""

_PROVEN = """
WITH moved AS (
    UPDATE {table} m SET state = 1, email_no = %(email_no)s
     WHERE m.mailout_id = %(mailout)s AND m.n BETWEEN %(n_min)s AND %(n_max)s AND m.n = ANY(%(n)s) AND m.state = 0
       AND m.attempt = %(attempt)s AND m.provider_id IS NOT NULL
    RETURNING 1
)
UPDATE delivery_message_batch b SET sent = b.sent + (SELECT count(*) FROM moved) WHERE b.id = %(batch)s
"""

_RETRY = """
WITH again AS (
    UPDATE {table} m SET attempt = m.attempt + 1, error = (%(errors)s::text[])[array_position(%(n)s::int[], m.n)]
     WHERE m.mailout_id = %(mailout)s AND m.n BETWEEN %(n_min)s AND %(n_max)s AND m.n = ANY(%(n)s) AND m.state = 0 AND m.attempt = %(attempt)s
       AND m.provider_id IS NULL
    RETURNING m.n
)
INSERT INTO delivery_message_batch
    (mailout_id, account_id, organization_id, lane, email_no, lo, hi, members, attempt, call_size, armed_to, due_at)
SELECT %(mailout)s, %(account)s, %(organization)s, %(lane)s, %(email_no)s, 0, count(*), array_agg(n ORDER BY n), %(attempt)s + 1,
       %(call_size)s, 0, clock_timestamp() + %(delay)s * interval '1 s'
  FROM again HAVING count(*) > 0
"""

_NOT_SENT = """
WITH returned AS (
    UPDATE delivery_send_call SET state = 3, settled_at = clock_timestamp() WHERE id = ANY(%(calls)s) AND state = 0 RETURNING 1
), packed AS (
    INSERT INTO delivery_message_batch
        (mailout_id, account_id, organization_id, lane, email_no, lo, hi, members, attempt, call_size, armed_to, due_at)
    SELECT %(mailout)s, %(account)s, %(organization)s, %(lane)s, %(email_no)s, 0, count(*), array_agg(m.n ORDER BY m.n), %(attempt)s,
           %(call_size)s, 0, clock_timestamp()
      FROM {table} m
     WHERE m.mailout_id = %(mailout)s AND m.n BETWEEN %(n_min)s AND %(n_max)s AND m.n = ANY(%(n)s) AND m.state = 0 AND m.attempt = %(attempt)s
       AND (SELECT count(*) FROM returned) = cardinality(%(calls)s)
    HAVING count(*) > 0
)
UPDATE delivery_message_batch b
   SET open_calls = b.open_calls - (SELECT count(*) FROM returned),
       state = CASE WHEN b.state IN (0, 1) AND b.armed_to = b.hi AND b.open_calls = (SELECT count(*) FROM returned) THEN 2 ELSE b.state END
 WHERE b.id = %(batch)s
"""


def people_params(numbers: list[int]) -> dict[str, Any]:
    """The people of a statement, and the bounds that keep its index scan short."""
    return {"n": numbers, "n_min": min(numbers, default=0), "n_max": max(numbers, default=-1)}


def statements(group: Settlement) -> list[Statement]:
    """The statements that record a settlement, in the order in which they must run."""
    batch = group.batch
    table = message_table(batch.mailout_id)
    base: dict[str, Any] = {
        "mailout": batch.mailout_id,
        "batch": batch.id,
        "claim": batch.claim,
        "attempt": batch.attempt,
        "email_no": batch.email_no,
        "account": batch.account_id,
        "organization": batch.organization_id,
        "lane": batch.lane,
    }
    made: list[Statement] = []
    if group.final or group.retry or group.single:
        made.append((_LOCK_CALLS, {"calls": group.calls}))
    if group.final:
        numbers, states, errors = (list(column) for column in zip(*group.final, strict=True))
        made.append((_FINAL.format(table=table), base | people_params(numbers) | {"states": states, "errors": errors}))
    for people, size in ((group.retry, batch.call_size), (group.single, 1)):
        if people:
            numbers, errors = (list(column) for column in zip(*people, strict=True))
            made.append((_PROVEN.format(table=table), base | people_params(numbers)))
            delay = 0.0 if size == 1 and batch.call_size != 1 else backoff_seconds(batch.attempt)
            made.append(
                (
                    _RETRY.format(table=table),
                    base | people_params(numbers) | {"errors": errors, "delay": delay, "call_size": size},
                )
            )
    if group.not_sent:
        again = people_params(group.not_sent_people) | {"calls": group.not_sent, "call_size": batch.call_size}
        made.append((_NOT_SENT.format(table=table), base | again))
    if group.calls:
        made.append(_accepted(group, table, base))
    return made


NOBODY = "\t"  # stands in an array of provider ids where a person of the range is not among the accepted
NAME_BYTES = 63


def _accepted(group: Settlement, table: str, base: dict[str, Any]) -> Statement:
    """Close the calls and mark the accepted. Ranges address the ids by `n`, with gaps; scattered members by position."""
    ids = dict(group.accepted)
    params = people_params(list(ids)) | {"lease": LEASE_SECONDS}
    if group.batch.members is None:
        in_order = [ids.get(n, NOBODY) for n in range(params["n_min"], params["n_max"] + 1)]
        position = "m.n - %(n_min)s + 1"
        is_among = f"(%(provider_ids)s::{{array}})[{position}] <> %(nobody)s"
    else:
        in_order = list(ids.values())
        position, is_among = "array_position(%(n)s::int[], m.n)", "m.n = ANY(%(n)s)"
    array, provider_ids = _array_of(in_order)
    sql = _ACCEPTED.format(table=table, position=position, array=array, is_among=is_among.format(array=array))
    state = MessageState.SIMULATED if group.batch.is_dry_run else MessageState.SENT
    return sql, base | params | {
        "calls": group.calls,
        "provider_ids": provider_ids,
        "nobody": NOBODY,
        "state": state,
    }


def _array_of(ids: list[str]) -> tuple[str, str | list[str]]:
    """Type and value of an array of provider ids: PostgreSQL's fixed-length `name` where they fit.

    To find an element of a text[] PostgreSQL walks over all before it, for every message; in a name[] it steps there.
    The literal is written here, because psycopg writes arrays element by element in Python.
    """
    literal = '{"' + '","'.join(ids) + '"}'
    is_plain = literal.isascii() and "\\" not in literal and literal.count('"') == 2 * len(ids)
    if ids and is_plain and len(max(ids, key=len)) <= NAME_BYTES:
        return "name[]", literal
    return "text[]", ids
