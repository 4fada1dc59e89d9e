"""The limiter: one row per account, shared by all workers, in short transactions of its own.

A generic cell rate algorithm: `mail_tat` is the time at which the mail granted so far will have been due at the
account's rate, `call_tat` the same for calls. A grant moves both forward; whoever would have to wait longer than its
lane's horizon gets nothing and comes again. Rates are recipients per second, since that is what SES counts.

Grants are of a twentieth of a second, without a burst: twenty of them start within any second, and twenty-two may arrive
if some come a tenth of a second late. So that they don't, a grant starts a moment after it is given, its calls are armed
meanwhile and leave at the start.

A campaign keeps the next tenth of a second booked, and a transactional message would wait for it. So half a hundredth of the
rate may start at once, ahead of what is booked (`letter_tat` paces it alike): with what of the second before still
counts, a hundredth at most comes on top within any second, and everybody after them starts so much later.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from time import monotonic

from delivery.engine.database import Connection
from delivery.engine.outages import PROBE_LONGEST_SECONDS
from delivery.models import Lane, ParkReason

GRANT_SECONDS = 0.05
CALLS_PER_SECOND = 20  # so many share a second's allowance where they are not full
PACE_SECONDS = 0.1  # a mailout's own pace: granted at a time, and made up for when the worker came late
GRANT_LIFE_SECONDS = 0.05  # what is not armed so long after the start is void: it would come into the seconds of others
LATE_SECONDS = (
    0.1  # calls that are armed so long after the start are booked anew: they would come into the seconds of others
)
FREE_RATE = 100_000.0  # above it the processor is what limits: large grants, which live longer
FREE_LIFE_SECONDS = 1.0
LEAD_SECONDS = 0.05  # from grant to start
LEAD_PEOPLE = 500  # at high rates less, or the calls that wait for their start would fill a worker's window
MAX_ENTRIES = 50  # SES: destinations per bulk call
MAX_CALLS = 1000
CAMPAIGN_RESERVE = 0.02  # share of the day kept free for transactional mail
LETTERS_SHARE = 0.005  # of the rate: what transactional mail may start ahead of what others have booked
HORIZONS = {Lane.TRANSACTIONAL: 5.0, Lane.AUTOMATION: 0.5, Lane.CAMPAIGN: 0.1}


@dataclass(slots=True)
class Grant:
    """Permission for `left` recipients from `starts_at` (monotonic seconds) on; they may be armed `lead` before."""

    account_id: int
    left: int
    entries_per_call: int
    starts_at: float
    is_probe: bool = False
    lead: float = 0.0
    life: float = FREE_LIFE_SECONDS
    minute: datetime | None = None  # in which the day's use counts it

    @property
    def is_void(self) -> bool:
        return self.left <= 0 or monotonic() > self.starts_at + self.life

    @property
    def is_late(self) -> bool:
        return self.life < FREE_LIFE_SECONDS and monotonic() > self.starts_at + LATE_SECONDS


@dataclass(frozen=True, slots=True)
class Refusal:
    """No permission now; ask again after `seconds`."""

    seconds: float
    reason: str = ""


UNLIMITED = 1_000_000_000


def unlimited_grant(entries_per_call: int) -> Grant:
    """For dry runs, which use nobody's quota."""
    return Grant(0, UNLIMITED, entries_per_call, monotonic())


_STATE = """
SELECT max_rate * factor, max_calls,
       CASE WHEN parked_reason <> '' AND (parked_until IS NULL OR parked_until > clock_timestamp()) THEN parked_reason ELSE '' END,
       probe_seconds, EXTRACT(EPOCH FROM probe_at - clock_timestamp())::float8,
       day_limit - day_used, day_limit
  FROM delivery_account_pace WHERE account_id = %s
"""

_TAKE = """
WITH old AS (
    SELECT account_id, mail_tat, call_tat,
           %(lane)s = 0 AND letter_tat <= clock_timestamp()
           AND %(n)s <= max_rate * factor * %(share)s AND %(calls)s <= max_calls * %(share)s AS is_ahead,
           date_trunc('minute', clock_timestamp()) AS minute
      FROM delivery_account_pace WHERE account_id = %(account)s FOR NO KEY UPDATE
), taken AS (
    UPDATE delivery_account_pace p SET
        letter_tat = CASE WHEN old.is_ahead THEN clock_timestamp() + GREATEST(
                          %(n)s / (p.max_rate * p.factor), %(calls)s / p.max_calls) / %(share)s * interval '1 s'
                     ELSE p.letter_tat END,
        mail_tat = GREATEST(p.mail_tat, clock_timestamp() + %(lead)s * interval '1 s') + %(n)s / (p.max_rate * p.factor) * interval '1 s',
        call_tat = GREATEST(p.call_tat, clock_timestamp() + %(lead)s * interval '1 s') + %(calls)s / p.max_calls * interval '1 s',
        day_used = p.day_used + %(n)s,
        factor = CASE WHEN p.factor < 1 AND clock_timestamp() > GREATEST(p.decreased_at, p.increased_at) + interval '1 s'
                      THEN LEAST(1.0, p.factor + 0.02) ELSE p.factor END,
        increased_at = CASE WHEN p.factor < 1 AND clock_timestamp() > GREATEST(p.decreased_at, p.increased_at) + interval '1 s'
                      THEN clock_timestamp() ELSE p.increased_at END,
        probe_seconds = LEAST(p.probe_seconds * 2, %(longest)s),
        probe_at = CASE WHEN p.probe_seconds > 0
                        THEN clock_timestamp() + LEAST(p.probe_seconds * 2, %(longest)s) * interval '1 s' ELSE p.probe_at END
      FROM old
     WHERE p.account_id = old.account_id
       AND (p.parked_reason = '' OR p.parked_until <= clock_timestamp())
       AND (p.probe_seconds = 0 OR (%(n)s = 1 AND p.probe_at <= clock_timestamp()))
       AND p.day_used + %(n)s <= p.day_limit - p.day_limit * %(reserve)s
       AND GREATEST(p.mail_tat, p.call_tat) <= clock_timestamp() + %(horizon)s * interval '1 s'
    RETURNING CASE WHEN old.is_ahead THEN 0.0 ELSE
        GREATEST(%(lead)s, EXTRACT(EPOCH FROM GREATEST(old.mail_tat, old.call_tat) - clock_timestamp())) END::float8 AS wait,
        old.minute
), counted AS (
    INSERT INTO delivery_account_usage AS u (account_id, minute, n)
    SELECT %(account)s, minute, %(n)s FROM taken
    ON CONFLICT (account_id, minute) DO UPDATE SET n = u.n + EXCLUDED.n
)
SELECT wait, minute FROM taken
"""


def entries_per_call(rate: float, max_calls: float, *, most: int = MAX_ENTRIES) -> int:
    """How many people a call may carry: a twentieth of the rate, or as many as calls per second make necessary.

    SES may refuse a call that carries more than a second's allowance.
    """
    share = rate / CALLS_PER_SECOND if max_calls >= CALLS_PER_SECOND else math.ceil(rate / max_calls)
    return int(min(most, max(1.0, share), max(1.0, rate)))


def take(
    connection: Connection,
    account_id: int,
    *,
    lane: int,
    wanted: int,
    room: int = MAX_CALLS,
    most_per_call: int = MAX_ENTRIES,
) -> Grant | Refusal:
    """Ask for up to `wanted` recipients, of which `room` calls can be armed now. One short transaction; never inside
    arming."""
    row = connection.execute(_STATE, [account_id]).fetchone()
    if row is None:
        return Refusal(5.0, "no pace row")
    rate, max_calls, parked, probe_seconds, probe_in, day_left, day_limit = row
    if parked:
        return Refusal(1.0, parked)
    size = entries_per_call(rate, max_calls, most=most_per_call)
    reserve = CAMPAIGN_RESERVE if lane == Lane.CAMPAIGN else 0.0
    if probe_seconds > 0:
        if probe_in is not None and probe_in > 0:
            return Refusal(min(1.0, probe_in), ParkReason.OUTAGE)
        n = size = 1
    else:
        n = min(
            wanted if rate >= FREE_RATE else min(wanted, room * size),
            max(size, int(min(rate, size * max_calls) * GRANT_SECONDS)),
            math.floor(day_left - day_limit * reserve),
        )
    if n <= 0:
        return Refusal(1.0, ParkReason.QUOTA)
    calls = math.ceil(n / size)
    lead = 0.0 if lane == Lane.TRANSACTIONAL else min(LEAD_SECONDS, LEAD_PEOPLE / rate)
    taken = connection.execute(
        _TAKE,
        {
            "account": account_id,
            "n": n,
            "calls": float(calls),
            "lead": lead,
            "lane": int(lane),
            "share": LETTERS_SHARE,
            "reserve": reserve,
            "horizon": HORIZONS[Lane(lane)],
            "longest": PROBE_LONGEST_SECONDS,
        },
    ).fetchone()
    if taken is None:
        return Refusal(min(0.05, max(0.002, n / rate)))
    life = GRANT_LIFE_SECONDS if rate < FREE_RATE else FREE_LIFE_SECONDS
    wait, minute = taken
    return Grant(
        account_id, n, size, monotonic() + wait, is_probe=probe_seconds > 0, lead=lead, life=life, minute=minute
    )


def book_anew(connection: Connection, account_id: int, *, people: int, calls: int) -> float:
    """Another place in time for calls whose own has passed. Returns the seconds until it.

    The day counts them already, and they are armed: nothing is asked but when. Without it the calls of a process that
    was kept from the processor, or whose commit took long, would leave together with those that are on time.
    """
    row = connection.execute(
        """
        WITH old AS (
            SELECT account_id, GREATEST(mail_tat, call_tat, clock_timestamp()) AS start
              FROM delivery_account_pace WHERE account_id = %(account)s FOR NO KEY UPDATE
        )
        UPDATE delivery_account_pace p SET
            mail_tat = GREATEST(p.mail_tat, clock_timestamp()) + %(n)s / (p.max_rate * p.factor) * interval '1 s',
            call_tat = GREATEST(p.call_tat, clock_timestamp()) + %(calls)s / p.max_calls * interval '1 s'
          FROM old WHERE p.account_id = old.account_id
        RETURNING GREATEST(0, EXTRACT(EPOCH FROM old.start - clock_timestamp()))::float8
        """,
        {"account": account_id, "n": people, "calls": float(calls)},
    ).fetchone()
    return row[0] if row else 0.0


def take_of_mailout(connection: Connection, mailout_id: int, *, wanted: int) -> int | Refusal:
    """The same for a mailout with a pace of its own, below its account's. Returns how many people may be armed."""
    row = connection.execute(
        """
        WITH old AS (
            SELECT id, rate_limit, pace_tat, GREATEST(1, LEAST(%(wanted)s, (rate_limit * %(burst)s)::int)) AS n
              FROM delivery_mailout WHERE id = %(mailout)s AND rate_limit > 0 FOR NO KEY UPDATE
        )
        UPDATE delivery_mailout m
           SET pace_tat = GREATEST(old.pace_tat, clock_timestamp() - %(burst)s * interval '1 s') + old.n / old.rate_limit * interval '1 s'
          FROM old WHERE m.id = old.id AND (old.pace_tat IS NULL OR old.pace_tat <= clock_timestamp())
        RETURNING old.n
        """,
        {"mailout": mailout_id, "wanted": wanted, "burst": PACE_SECONDS},
    ).fetchone()
    return row[0] if row else Refusal(0.05)


def give_back(connection: Connection, grant: Grant) -> None:
    """Return what a grant did not use to the day's quota. Its place in time is lost, which errs on the slow side.

    To the minute that counts it, whichever it is by now; one that has left the day counts no more, and takes nothing back.
    """
    if grant.left <= 0 or grant.account_id == 0:
        return
    connection.execute(
        """
        WITH back AS (
            UPDATE delivery_account_usage SET n = n - %(n)s
             WHERE account_id = %(account)s AND minute = %(minute)s AND n >= %(n)s RETURNING 1
        )
        UPDATE delivery_account_pace SET day_used = GREATEST(0, day_used - %(n)s)
         WHERE account_id = %(account)s AND EXISTS (SELECT 1 FROM back)
        """,
        {"account": grant.account_id, "n": grant.left, "minute": grant.minute},
    )
    grant.left = 0


def slow_down(connection: Connection, account_id: int) -> None:
    """Throttled: lower the factor, at most once per second, or eight throttled calls in flight would all but stop us."""
    connection.execute(
        """
        UPDATE delivery_account_pace
           SET factor = LEAST(1.0, GREATEST(factor * 0.7, 1.0 / GREATEST(max_rate, 1.0))), decreased_at = clock_timestamp()
         WHERE account_id = %s AND (decreased_at IS NULL OR decreased_at < clock_timestamp() - interval '1 s')
        """,
        [account_id],
    )


def park(connection: Connection, account_id: int, reason: ParkReason, *, seconds: float | None = None) -> None:
    """Stop an account's arming, for a time or until a check or a person lifts it."""
    connection.execute(
        """
        UPDATE delivery_account_pace
           SET parked_reason = %(reason)s, parked_until = clock_timestamp() + %(seconds)s::float8 * interval '1 s'
         WHERE account_id = %(account)s
           AND (parked_reason = '' OR parked_reason = %(reason)s OR parked_until <= clock_timestamp())
        """,
        {"account": account_id, "reason": str(reason), "seconds": seconds},
    )


def park_for_quota(connection: Connection, account_id: int) -> None:
    """The day is used up: wait until the oldest counted minute leaves the window, ten minutes where that isn't ours."""
    connection.execute(
        """
        UPDATE delivery_account_pace p
           SET parked_reason = 'quota',
               parked_until = GREATEST(
                   clock_timestamp() + interval '10 minutes',
                   COALESCE((SELECT min(minute) FROM delivery_account_usage u WHERE u.account_id = p.account_id AND n > 0
                                AND minute > clock_timestamp() - interval '24 hours') + interval '24 hours 1 minute', '-infinity'))
         WHERE account_id = %s AND (parked_reason IN ('', 'quota') OR parked_until <= clock_timestamp())
        """,
        [account_id],
    )
