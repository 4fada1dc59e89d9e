"""Read the people who are armed next, and check once more that each of them may be mailed.

Only as many as the next calls hold: at 14 emails a second a whole claimed batch would be mailed more than a minute
after its check. Every negative act stamps `subscriber.opted_out_at` in its own transaction, so only people stamped
since the audience was frozen (less a day, against clocks and long transactions) need a second look.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from delivery.engine.claiming import Batch
from delivery.engine.database import Connection, message_table
from delivery.models import ExclusionReason
from delivery.selectors.exclusions import recheck_sql

# OFFSET 0 keeps the planner from joining by a hash of all subscribers: a fresh mailout's statistics mislead it.
# A row: n, subscriber id, list id, written address, canonical address, first name, last name, locale, time zone,
# attributes, tags, whether the address changed, whether a second look is needed.
PersonRow = tuple[Any, ...]

_COLUMNS = """
SELECT m.n, m.subscriber_id, m.list_id, s.email, s.address_key, s.first_name, s.last_name, s.locale, s.time_zone,
       s.attributes::text, NULLIF(s.tags, '{{}}'), hashtext(s.address_key) IS DISTINCT FROM m.address_hash,
       COALESCE(s.opted_out_at >= %(guard)s, false)
  FROM {table} m LEFT JOIN LATERAL (SELECT * FROM subscribers_subscriber x WHERE x.id = m.subscriber_id OFFSET 0) s ON true
 WHERE m.mailout_id = %(mailout)s AND m.state = 0 AND m.attempt = %(attempt)s AND m.provider_id IS NULL
"""

_ADDRESSES = """
SELECT m.n, m.subscriber_id, m.list_id, a.address, a.address, s.first_name, s.last_name, s.locale, s.time_zone,
       s.attributes::text, NULLIF(s.tags, '{{}}'), false, false
  FROM {table} m JOIN delivery_message_address a ON a.mailout_id = m.mailout_id AND a.n = m.n
  LEFT JOIN subscribers_subscriber s ON s.id = %(sample_of)s
 WHERE m.mailout_id = %(mailout)s AND m.state = 0 AND m.attempt = %(attempt)s AND m.subscriber_id = 0
   AND m.provider_id IS NULL
"""


class Reading(NamedTuple):
    """People to arm, people to leave out with their reason, when the check was made, and up to where it reads."""

    people: list[PersonRow]
    excluded: list[tuple[int, int]]
    checked_at: datetime
    upto: int


def read_people(connection: Connection, batch: Batch, count: int, *, now: datetime) -> Reading:
    """Read up to `count` people of the batch from `armed_to` on. Fewer rows than positions are those no longer queued."""
    upto = min(batch.hi, batch.armed_to + count)
    params: dict[str, Any] = {
        "mailout": batch.mailout_id,
        "attempt": batch.attempt,
        "guard": batch.frozen_at,
        "sample_of": batch.sample_of,
    }
    if batch.members is None:
        where = " AND m.n >= %(lo)s AND m.n < %(hi)s"
        params |= {"lo": batch.armed_to, "hi": upto}
    else:
        members = batch.members[batch.armed_to : upto]
        where = " AND m.n BETWEEN %(lo)s AND %(hi)s AND m.n = ANY(%(members)s)"
        params |= {"members": members, "lo": min(members, default=0), "hi": max(members, default=-1)}
    table = message_table(batch.mailout_id)
    rows = connection.execute(
        _COLUMNS.format(table=table).replace("%(guard)s", "%(guard)s - interval '1 day'") + where + " ORDER BY m.n",
        params,
    ).fetchall()
    if any(row[1] == 0 for row in rows):  # recipients who are no subscribers: test sends, transactional mail
        rows = connection.execute(_ADDRESSES.format(table=table) + where + " ORDER BY m.n", params).fetchall()
    if batch.not_after is not None and now >= batch.not_after:
        return Reading([], [(row[0], ExclusionReason.TOO_LATE) for row in rows], now, upto)
    return _judge(connection, batch, rows, now, upto)


def _judge(connection: Connection, batch: Batch, rows: list[PersonRow], now: datetime, upto: int) -> Reading:
    doubtful = [row[1] for row in rows if row[12]]
    reasons = _second_look(connection, batch.mailout_id, doubtful) if doubtful else {}
    people: list[PersonRow] = []
    excluded: list[tuple[int, int]] = []
    for row in rows:
        if row[3] is None:
            excluded.append((row[0], ExclusionReason.ERASED))
        elif row[11]:
            excluded.append((row[0], ExclusionReason.ADDRESS_CHANGED))
        elif reason := reasons.get(row[1], 0):
            excluded.append((row[0], reason))
        else:
            people.append(row)
    return Reading(people, excluded, now, upto)


def _second_look(connection: Connection, mailout_id: int, subscriber_ids: list[int]) -> dict[int, int]:
    rows = connection.execute(recheck_sql(), {"mailout": mailout_id, "ids": subscriber_ids}).fetchall()
    return {subscriber_id: reason for subscriber_id, reason in rows if reason}
