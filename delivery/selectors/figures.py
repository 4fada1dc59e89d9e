"""The engine's figures that stand in PostgreSQL, for Prometheus: the same whichever machine is asked.

None of them reads the ledger: batches are a thousandth of it and looked at through the partial indexes of the open ones,
backlogs are counted up to a bound. On ten million waiting messages all of it takes some tens of milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection, transaction

from delivery.models import Lane

BOUND: Final = 100_000  # a longer backlog is told as this one
TIMEOUT_MS: Final = 2000
LANES: Final = {lane.value: lane.name.lower() for lane in Lane}
ACCOUNT: Final = ("account",)


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure with its samples: label values, value."""

    name: str
    help: str
    labels: tuple[str, ...]
    samples: Sequence[tuple[tuple[str, ...], float]]


# Through the indexes batch_ready and batch_claimed, whose conditions each half repeats.
_QUEUE = """
WITH waiting AS (
    SELECT lane, mailout_id, due_at, hi - armed_to AS n FROM delivery_message_batch WHERE state = 0
    UNION ALL
    SELECT lane, mailout_id, due_at, hi - armed_to AS n FROM delivery_message_batch WHERE state = 1
)
SELECT w.lane,
       COALESCE(sum(n) FILTER (WHERE m.state = 'sending' AND due_at <= now()), 0)::float8,
       COALESCE(sum(n) FILTER (WHERE m.state = 'sending' AND due_at > now()), 0)::float8,
       COALESCE(sum(n) FILTER (WHERE m.state <> 'sending'), 0)::float8,
       COALESCE(EXTRACT(EPOCH FROM now() - min(due_at) FILTER (WHERE m.state = 'sending' AND due_at <= now() AND n > 0)), 0)::float8
  FROM waiting w JOIN delivery_mailout m ON m.id = w.mailout_id GROUP BY 1
"""
# Through mailout_open and batch_of_mailout; finished ones by the months in their ids.
_UNKNOWN = """
SELECT COALESCE((SELECT sum(b.unknown) FROM delivery_mailout m JOIN delivery_message_batch b ON b.mailout_id = m.id
                  WHERE m.finished_at IS NULL), 0)::float8
     + COALESCE((SELECT sum((final_account->'states'->>'unknown')::int) FROM delivery_mailout
                  WHERE finished_at > now() - interval '7 days'
                    AND id >= ((EXTRACT(YEAR FROM now()) - 2020) * 12 + EXTRACT(MONTH FROM now()) - 3) * 1000000), 0)::float8
"""
_MAILOUTS = "SELECT state, state_reason, count(*) FROM delivery_mailout WHERE finished_at IS NULL GROUP BY 1, 2"
_ACCOUNTS = """
SELECT account_id::text, (max_rate * factor)::float8, factor::float8,
       GREATEST(0, EXTRACT(EPOCH FROM mail_tat - clock_timestamp()))::float8, day_used::float8, day_limit::float8,
       CASE WHEN parked_until IS NULL OR parked_until > clock_timestamp() THEN parked_reason ELSE '' END, probe_seconds::float8
  FROM delivery_account_pace ORDER BY account_id
"""
# Through send_call_armed.
_CALLS = """
SELECT count(*)::float8, COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - min(armed_at)), 0)::float8
  FROM delivery_send_call WHERE state = 0
"""
_INBOX = f"""
SELECT (SELECT count(*) FROM (SELECT 1 FROM delivery_inbox LIMIT {BOUND}) AS bounded)::float8,
       COALESCE((SELECT EXTRACT(EPOCH FROM clock_timestamp() - received_at) FROM delivery_inbox ORDER BY id LIMIT 1), 0)::float8,
       (SELECT count(*) FROM (SELECT 1 FROM delivery_inbox_dead LIMIT {BOUND}) AS bounded)::float8
"""
# Through system_email_due, system_email_leased and system_email_finished.
_OWN_MAIL = """
SELECT COALESCE((SELECT EXTRACT(EPOCH FROM clock_timestamp() - min(created_at)) FROM organizations_systememail
                  WHERE state = 'queued'), 0)::float8,
       ((SELECT count(*) FROM organizations_systememail WHERE state = 'queued')
        + (SELECT count(*) FROM organizations_systememail WHERE state = 'sending'))::float8,
       (SELECT count(*) FROM organizations_systememail
         WHERE finished_at > now() - interval '1 hour' AND state <> 'sent')::float8
"""
_SLOTS = "SELECT count(*) FILTER (WHERE lease_until > clock_timestamp())::float8 FROM delivery_engine_slot"
_HOME = "SELECT COALESCE(bool_or(is_away), false)::int::float8 FROM delivery_engine_home"


def engine_figures() -> list[Figure]:
    """Read all figures in one short transaction. Raises Django's database errors, also when it takes too long."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(TIMEOUT_MS)])

        def rows(query: str) -> list[tuple[Any, ...]]:
            cursor.execute(query)
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found

        return [*_queue(rows(_QUEUE)), *_states(rows(_MAILOUTS)), *_accounts(rows(_ACCOUNTS))] + [
            Figure(name, words, (), [((), value)])
            for query, described in _SINGLE
            for (name, words), value in zip(described, rows(query)[0], strict=True)
        ]


_SINGLE: Final = (
    (
        _UNKNOWN,
        [("amazonsender_unknown_messages", "Messages without an answer, of open sendings and those of 7 days.")],
    ),
    (
        _CALLS,
        [
            ("amazonsender_armed_calls", "Provider calls that are out."),
            ("amazonsender_armed_call_age_seconds", "Age of the oldest of them."),
        ],
    ),
    (
        _INBOX,
        [
            ("amazonsender_inbox_messages", f"Received events that wait to be processed, up to {BOUND}."),
            ("amazonsender_event_lag_seconds", "Age of the event that has waited longest."),
            ("amazonsender_dead_events", f"Events put aside because they could not be read, up to {BOUND}."),
        ],
    ),
    (
        _OWN_MAIL,
        [
            ("amazonsender_own_letter_age_seconds", "Age of the product's own letter that has waited longest."),
            ("amazonsender_own_letters_waiting", "Own letters on their way."),
            ("amazonsender_own_letters_given_up", "Own letters of the last hour that were not, or perhaps, sent."),
        ],
    ),
    (_SLOTS, [("amazonsender_engine_slots_used", "Engine loops that run, over all machines.")]),
    (_HOME, [("amazonsender_away_from_home", "1 when every account waits for confirm_home.")]),
)


def _queue(rows: list[tuple[Any, ...]]) -> list[Figure]:
    by_lane = {LANES[row[0]]: row[1:] for row in rows}
    nothing = (0.0, 0.0, 0.0, 0.0)
    lanes = [(lane, by_lane.get(lane, nothing)) for lane in LANES.values()]
    return [
        Figure(
            "amazonsender_queue_messages",
            "Messages that wait: due now, due later, or of a sending that is paused or stopping.",
            ("lane", "state"),
            [
                ((lane, state), value)
                for lane, values in lanes
                for state, value in zip(("due", "later", "paused"), values[:3], strict=True)
            ],
        ),
        Figure(
            "amazonsender_queue_age_seconds",
            "How long the message that has been due longest waits.",
            ("lane",),
            [((lane,), values[3]) for lane, values in lanes],
        ),
    ]


def _states(rows: list[tuple[Any, ...]]) -> list[Figure]:
    samples = [((state, reason), float(n)) for state, reason, n in rows]
    return [Figure("amazonsender_open_mailouts", "Sendings under way.", ("state", "reason"), samples)]


def _accounts(rows: list[tuple[Any, ...]]) -> list[Figure]:
    described = (
        ("amazonsender_account_rate", "People a second that the limiter allows at present."),
        ("amazonsender_account_factor", "Share of the account's rate after throttling; 1 is all of it."),
        ("amazonsender_account_booked_seconds", "Level of the limiter's bucket: how far ahead mail has been granted."),
        ("amazonsender_account_day_used", "People handed over in the last 24 hours."),
        ("amazonsender_account_day_limit", "People allowed in 24 hours."),
    )
    figures = [
        Figure(name, words, ACCOUNT, [((row[0],), row[place]) for row in rows])
        for place, (name, words) in enumerate(described, start=1)
    ]
    parked = [((row[0], row[6]), 1.0) for row in rows if row[6]]
    probing = [((row[0],), float(row[7] > 0)) for row in rows]
    return [
        *figures,
        Figure(
            "amazonsender_account_parked", "1 for accounts that wait, with the reason.", ("account", "reason"), parked
        ),
        Figure(
            "amazonsender_account_probing", "1 while single people try a provider that went silent.", ACCOUNT, probing
        ),
    ]
