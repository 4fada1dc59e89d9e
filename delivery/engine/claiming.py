"""Claim a batch: whose turn it is, then the next due batch of that organization, skipping what others hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic

from delivery.engine.database import Connection
from delivery.models import Lane

LEASE_SECONDS = 30
CAMPAIGN_SHARE = 10  # one claim in so many serves campaigns first, whatever waits before them
LARGEST_LAG = 5000.0  # people by which an organization may be behind another that has work, too
LAST_LANE = max(Lane)


@dataclass(slots=True)
class Batch:
    """A claimed batch as its worker sees it. `armed_to` runs ahead only by committed arms."""

    id: int
    mailout_id: int
    account_id: int
    organization_id: int
    lane: int
    email_no: int
    lo: int
    hi: int
    members: list[int] | None
    attempt: int
    call_size: int
    armed_to: int
    claim: int
    # of its mailout
    is_dry_run: bool
    frozen_at: datetime
    not_after: datetime | None
    sample_of: int  # subscriber whose data a test send shows, 0: none
    rate_limit: float | None
    traceparent: str  # of its launch, as is request_id
    request_id: str
    claimed_at: datetime  # by the database's clock
    _claimed: float = field(default_factory=monotonic)
    calls_parent: str = ""  # the traceparent below which its calls stand

    def now(self) -> datetime:
        """The time by the database's clock, never later than it is. Clocks of machines may be minutes apart."""
        return self.claimed_at + timedelta(seconds=monotonic() - self._claimed)

    @property
    def is_exhausted(self) -> bool:
        return self.armed_to >= self.hi


_TURNS = """
SELECT d.lane, d.organization_id, COALESCE(t.vtime, 0)
  FROM (SELECT DISTINCT b.lane, b.organization_id
          FROM delivery_message_batch b JOIN delivery_mailout m ON m.id = b.mailout_id
         WHERE b.account_id = %(account)s AND b.lane <= %(last)s AND b.state = 0 AND b.due_at <= clock_timestamp() AND m.state = 'sending'
           AND (m.rate_limit IS NULL OR m.pace_tat IS NULL OR m.pace_tat <= clock_timestamp())) d
  LEFT JOIN delivery_account_turn t
    ON t.account_id = %(account)s AND t.lane = d.lane AND t.organization_id = d.organization_id
 ORDER BY 1, 3, 2
"""

_CLAIM = """
WITH next AS (
    SELECT b.id FROM delivery_message_batch b
     WHERE b.account_id = %(account)s AND b.lane = %(lane)s AND b.organization_id = %(organization)s
       AND b.state = 0 AND b.due_at <= clock_timestamp()
       AND EXISTS (SELECT 1 FROM delivery_mailout m WHERE m.id = b.mailout_id AND m.state = 'sending'
                      AND (m.rate_limit IS NULL OR m.pace_tat IS NULL OR m.pace_tat <= clock_timestamp()))
     ORDER BY b.due_at, b.id LIMIT 1 FOR NO KEY UPDATE OF b SKIP LOCKED
), claimed AS (
    UPDATE delivery_message_batch b
       SET state = 1, claim = b.claim + 1, lease_until = clock_timestamp() + %(lease)s * interval '1 s'
      FROM next WHERE b.id = next.id
    RETURNING b.*
), turn AS (
    INSERT INTO delivery_account_turn AS t (account_id, lane, organization_id, vtime, weight)
    SELECT account_id, lane, organization_id, %(floor)s + hi - armed_to, 1 FROM claimed
    ON CONFLICT (account_id, lane, organization_id)
        DO UPDATE SET vtime = GREATEST(t.vtime, %(floor)s) + (EXCLUDED.vtime - %(floor)s) / t.weight
)
SELECT c.id, c.mailout_id, c.account_id, c.organization_id, c.lane, c.email_no, c.lo, c.hi, c.members, c.attempt, c.call_size,
       c.armed_to, c.claim, m.is_dry_run, m.frozen_at, m.not_after, COALESCE(m.preview_subscriber_id, 0), m.rate_limit,
       m.traceparent, m.request_id, clock_timestamp()
  FROM claimed c JOIN delivery_mailout m ON m.id = c.mailout_id
"""


def claim_batch(connection: Connection, account_id: int, *, turn: int, above_lane: int | None = None) -> Batch | None:
    """Claim the next due batch of an account, or None.

    `turn` counts claims, so that campaigns keep a tenth. `above_lane` asks only for lanes that are served before it.
    """
    last = LAST_LANE if above_lane is None else above_lane - 1
    rows = connection.execute(_TURNS, {"account": account_id, "last": last}).fetchall()
    # Who was away, or is new, would else be served alone until it has had as much as the others in all their past.
    floors = {lane: vtime - LARGEST_LAG for lane, _organization_id, vtime in rows}  # rows ascend: of the furthest one
    rows.sort(key=lambda row: (row[0], max(row[2], floors[row[0]]), row[1]))
    if above_lane is None and turn % CAMPAIGN_SHARE == CAMPAIGN_SHARE - 1:
        rows.sort(key=lambda row: row[0] != Lane.CAMPAIGN)
    for lane, organization_id, _vtime in rows:
        claimed = connection.execute(
            _CLAIM,
            {
                "account": account_id,
                "lane": lane,
                "organization": organization_id,
                "lease": LEASE_SECONDS,
                "floor": max(0.0, floors[lane]),
            },
        ).fetchone()
        if claimed is not None:
            return Batch(*claimed)
    return None


def release_batch(connection: Connection, batch: Batch) -> None:
    """Hand an unfinished batch back: the next claim goes on at `armed_to`.

    Only without open calls: a call belongs to the claim whose lease the reaper watches.
    """
    connection.execute(
        """
        UPDATE delivery_message_batch SET state = CASE WHEN armed_to = hi THEN 2 ELSE 0 END, lease_until = NULL
         WHERE id = %s AND claim = %s AND state = 1 AND open_calls = 0
        """,
        [batch.id, batch.claim],
    )


def renew_lease(connection: Connection, batch: Batch) -> bool:
    """Keep a claim alive while nothing can be armed. False when it is lost."""
    done = connection.execute(
        """
        UPDATE delivery_message_batch SET lease_until = clock_timestamp() + %s * interval '1 s'
         WHERE id = %s AND claim = %s AND state = 1 AND lease_until > clock_timestamp()
        """,
        [LEASE_SECONDS, batch.id, batch.claim],
    )
    return done.rowcount == 1


def accounts_with_due_work(connection: Connection) -> list[int]:
    """Accounts for which a claim could find something; 0 stands for dry runs."""
    rows = connection.execute(
        """
        SELECT DISTINCT b.account_id FROM delivery_message_batch b JOIN delivery_mailout m ON m.id = b.mailout_id
         WHERE b.state = 0 AND b.due_at <= clock_timestamp() AND m.state = 'sending'
        """
    ).fetchall()
    return [row[0] for row in rows]
