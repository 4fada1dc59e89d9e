"""Answers that come after the reaper gave their call up: `unknown` turns into its truth."""

from __future__ import annotations

from delivery.engine.calls import Call
from delivery.engine.database import Connection, message_table
from delivery.engine.settling import people_params
from delivery.models import MessageState
from delivery.providers.base import Outcome

# Somebody refused after the mailout was over has failed: no batch of it is claimed any more. The lock makes a tick that is
# finishing it come before or after, never in between.
_LATE = """
WITH mailout AS (
    SELECT finished_at IS NOT NULL AS is_over FROM delivery_mailout WHERE id = %(mailout)s FOR SHARE
), settled AS (
    UPDATE delivery_send_call SET state = 1, settled_at = clock_timestamp() WHERE id = %(call)s AND state = 2 RETURNING 1
), moved AS (
    UPDATE {table} m
       SET state = CASE WHEN (%(states)s::smallint[])[array_position(%(n)s::int[], m.n)] = 0 AND (SELECT is_over FROM mailout)
                        THEN 3 ELSE (%(states)s::smallint[])[array_position(%(n)s::int[], m.n)] END,
           attempt = m.attempt + (%(again)s::smallint[])[array_position(%(n)s::int[], m.n)],
           error = (%(errors)s::text[])[array_position(%(n)s::int[], m.n)],
           provider_id = COALESCE((%(provider_ids)s::text[])[array_position(%(n)s::int[], m.n)], m.provider_id),
           sent_at = CASE WHEN (%(states)s::smallint[])[array_position(%(n)s::int[], m.n)] = %(sent)s
                          THEN COALESCE(m.sent_at, clock_timestamp()) ELSE m.sent_at END
     WHERE m.mailout_id = %(mailout)s AND m.n BETWEEN %(n_min)s AND %(n_max)s AND m.n = ANY(%(n)s) AND m.state = 4 AND m.attempt = %(attempt)s
       AND m.provider_id IS NULL AND EXISTS (SELECT 1 FROM settled)
    RETURNING m.n, m.state, m.attempt
), again AS (
    INSERT INTO delivery_message_batch
        (mailout_id, account_id, organization_id, lane, email_no, lo, hi, members, attempt, call_size, armed_to, due_at)
    SELECT %(mailout)s, %(account)s, %(organization)s, %(lane)s, %(email_no)s, 0, count(*), array_agg(n ORDER BY n), %(attempt)s + 1,
           %(call_size)s, 0, clock_timestamp()
      FROM moved WHERE state = 0 HAVING count(*) > 0
), counted AS (
    UPDATE delivery_mailout SET is_account_stale = true
     WHERE id = %(mailout)s AND (SELECT is_over FROM mailout) AND EXISTS (SELECT 1 FROM moved)
)
UPDATE delivery_message_batch b
   SET unknown = b.unknown - (SELECT count(*) FROM moved),
       sent = b.sent + (SELECT count(*) FROM moved WHERE state IN (1, 2)),
       failed = b.failed + (SELECT count(*) FROM moved WHERE state = 3)
 WHERE b.id = %(batch)s
"""


def settle_late(connection: Connection, calls: list[Call]) -> None:
    """Apply results to calls that were given up meanwhile. Does nothing for calls that are settled already."""
    for call in calls:
        if call.result is None or len(call.result.entries) != len(call.people):
            continue
        batch = call.batch
        sent = int(MessageState.SIMULATED if batch.is_dry_run else MessageState.SENT)
        rows: list[tuple[int, int, int, str | None, str | None]] = []
        for n, (outcome, provider_id, error) in zip(call.people, call.result.entries, strict=True):
            if outcome == Outcome.ACCEPTED:
                rows.append((n, sent, 0, None, provider_id))
            elif outcome == Outcome.REJECTED:
                rows.append((n, int(MessageState.FAILED), 0, error, None))
            elif outcome == Outcome.RETRY:
                rows.append((n, int(MessageState.QUEUED), 1, error, None))
        numbers, states, again, errors, provider_ids = (
            (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [], [], [])
        )
        connection.execute(
            _LATE.format(table=message_table(batch.mailout_id)),
            people_params(numbers)
            | {
                "call": call.id,
                "mailout": batch.mailout_id,
                "batch": batch.id,
                "account": batch.account_id,
                "organization": batch.organization_id,
                "lane": batch.lane,
                "email_no": batch.email_no,
                "attempt": batch.attempt,
                "call_size": batch.call_size,
                "sent": sent,
                "states": states,
                "again": again,
                "errors": errors,
                "provider_ids": provider_ids,
            },
        )
