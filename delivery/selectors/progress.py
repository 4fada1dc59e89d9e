"""How a mailout is doing: sums of its batches while it sends, the exact account afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone

from delivery.models import AccountPace, ExclusionReason, Mailout
from delivery.selectors.accounting import ACCOUNT_SQL, account_of_rows

RATE_WINDOW_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Progress:
    """candidates = sent + simulated + failed + unknown + excluded + cancelled + waiting, always.

    rate: people per second over the last calls. seconds_left: until those who are due have it, None when unknown.
    not_due: those of the waiting whose own clocks do not show the time yet; the next of them at next_due_at.
    """

    candidates: int
    sent: int
    simulated: int
    failed: int
    unknown: int
    excluded: int
    cancelled: int
    waiting: int
    rate: float
    seconds_left: float | None
    state: str
    state_reason: str
    parked_reason: str = ""
    parked_until: datetime | None = None
    not_due: int = 0
    next_due_at: datetime | None = None

    @property
    def is_finished(self) -> bool:
        return self.waiting == 0 and self.state in ("finished", "cancelled")

    @property
    def processed(self) -> int:
        return self.candidates - self.waiting


@dataclass(frozen=True, slots=True)
class Account:
    """The exact account of a mailout by state and, for those left out, by reason."""

    candidates: int
    states: dict[str, int]
    reasons: dict[ExclusionReason, int] = field(default_factory=dict)


def mailout_progress(mailout: Mailout) -> Progress:
    """Cheap: the batches are a thousandth of the messages. Refreshes the mailout's state."""
    mailout.refresh_from_db(
        fields=["state", "state_reason", "finished_at", "final_account", "candidates", "eligible", "pilot_until"]
    )
    parked_reason, parked_until = _parked(mailout)
    if mailout.final_account:
        states = mailout.final_account["states"]
        return Progress(
            candidates=mailout.final_account["candidates"],
            sent=states["sent"],
            simulated=states["simulated"],
            failed=states["failed"],
            unknown=states["unknown"],
            excluded=states["excluded"],
            cancelled=states["cancelled"],
            waiting=states["queued"] + states["held"],
            rate=0.0,
            seconds_left=0.0,
            state=mailout.state,
            state_reason=mailout.state_reason,
        )
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT COALESCE(sum(sent), 0), COALESCE(sum(failed), 0), COALESCE(sum(unknown), 0), COALESCE(sum(excluded), 0),
                   COALESCE(sum(cancelled), 0),
                   COALESCE(sum(hi - lo) FILTER (WHERE state = 0 AND attempt = 0 AND due_at > now()), 0),
                   min(due_at) FILTER (WHERE state = 0 AND attempt = 0 AND due_at > now())
              FROM delivery_message_batch WHERE mailout_id = %s
            """,
            [mailout.pk],
        )
        sent, failed, unknown, left_out, cancelled, not_due, next_due_at = cursor.fetchone()
    excluded = mailout.candidates - mailout.eligible + left_out
    waiting = mailout.candidates - sent - failed - unknown - excluded - cancelled
    rate = _recent_rate(mailout) if mailout.is_open else 0.0
    return Progress(
        candidates=mailout.candidates,
        sent=0 if mailout.is_dry_run else sent,
        simulated=sent if mailout.is_dry_run else 0,
        failed=failed,
        unknown=unknown,
        excluded=excluded,
        cancelled=cancelled,
        waiting=waiting,
        rate=rate,
        seconds_left=(waiting - not_due) / rate if rate > 0 else None,
        state=mailout.state,
        state_reason=mailout.state_reason,
        parked_reason=parked_reason,
        parked_until=parked_until,
        not_due=not_due,
        next_due_at=next_due_at,
    )


def _parked(mailout: Mailout) -> tuple[str, datetime | None]:
    if mailout.account_id is None or not mailout.is_open:
        return "", None
    now = timezone.now()
    pace = (
        AccountPace.objects.filter(account_id=mailout.account_id)
        .values_list("parked_reason", "parked_until", "probe_seconds")
        .first()
    )
    if pace is None:
        return "", None
    reason, until, probing = pace
    if reason and (until is None or until > now):
        return reason, until
    return ("outage", None) if probing else ("", None)


def _recent_rate(mailout: Mailout) -> float:
    """People per second over the calls settled in the last seconds; found by the partial scan of recent batches."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT COALESCE(sum(c.hi - c.lo), 0), min(c.settled_at)
              FROM delivery_send_call c
             WHERE c.mailout_id = %s AND c.state = 1 AND c.settled_at > clock_timestamp() - %s * interval '1 s'
            """,
            [mailout.pk, RATE_WINDOW_SECONDS],
        )
        people, first = cursor.fetchone()
    if not people or first is None:
        return 0.0
    span = max((timezone.now() - first) / timedelta(seconds=1), 0.2)
    rate: float = float(people) / span
    return rate


def mailout_account(mailout: Mailout) -> Account:
    """The exact account: as finished, or counted from every row now."""
    data = mailout.final_account
    if not data:
        with connection.cursor() as cursor:
            cursor.execute(ACCOUNT_SQL, [mailout.pk])
            data = account_of_rows(cursor.fetchall())
    return Account(
        candidates=data["candidates"],
        states=dict(data["states"]),
        reasons={
            ExclusionReason(int(reason)): count
            for reason, count in sorted(data["reasons"].items(), key=lambda item: int(item[0]))
        },
    )
