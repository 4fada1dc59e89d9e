"""Both accounts side by side: what was sent in, and what stands in the ledger, the roll-ups, the report and the people."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Sum

from analytics.selectors.reports import read_report
from campaigns.models import Campaign
from delivery.models import (
    DeliveryEvent,
    EventType,
    InboxDead,
    Mailout,
    MessageBatch,
    MessageState,
    StatDomain,
    StatEmail,
    StatHour,
)
from delivery.models import Message as LedgerMessage
from subscribers.models import Suppression
from tests.intake.stream import Expected, Totals, address

SHOWN = 5
FACTS = {
    EventType.DELIVERED: "delivered_at",
    EventType.BOUNCED: "bounced_at",
    EventType.COMPLAINED: "complained_at",
    EventType.OPENED: "opened_at",
    EventType.CLICKED: "clicked_at",
}


@dataclass
class Verdict:
    """lost, doubled: events that the ledger lacks, or has and nobody sent; miscounted: sums and facts that differ."""

    events: int = 0
    lost: int = 0
    doubled: int = 0
    miscounted: int = 0
    dead: int = 0
    reasons: list[str] = field(default_factory=list)

    @property
    def has_passed(self) -> bool:
        return not (self.lost or self.doubled or self.miscounted or self.dead)

    def compare(self, what: str, found: Any, wanted: Any) -> None:
        if found != wanted:
            self.miscounted += 1
            self.reasons.append(f"{what}: {_differences(found, wanted)}")


def _differences(found: Any, wanted: Any) -> str:
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = [key for key in {**found, **wanted} if found.get(key) != wanted.get(key)]
        return ", ".join(f"{key}: {found.get(key)} instead of {wanted.get(key)}" for key in keys[:SHOWN])
    if isinstance(found, set) and isinstance(wanted, set):
        return f"{sorted(found - wanted)[:SHOWN]} too many, {sorted(wanted - found)[:SHOWN]} missing"
    return f"{found} instead of {wanted}"


def judge(expected: dict[int, Expected]) -> Verdict:
    """Compare everything; expected by mailout."""
    verdict = Verdict(dead=InboxDead.objects.count())
    verdict.reasons += [f"dead: {reason}" for reason in InboxDead.objects.values_list("error", flat=True)[:SHOWN]]
    for mailout_id, one in expected.items():
        _judge_events(verdict, mailout_id, one)
        _judge_sums(verdict, mailout_id, one)
        _judge_messages(verdict, mailout_id, one)
        _judge_report(verdict, mailout_id, one)
    left_out = {
        address(n)
        for one in expected.values()
        for type_ in (EventType.BOUNCED, EventType.COMPLAINED)
        for n in one.people(type_)
    }
    verdict.compare("suppressed addresses", set(Suppression.objects.values_list("address_key", flat=True)), left_out)
    return verdict


def _judge_events(verdict: Verdict, mailout_id: int, expected: Expected) -> None:
    rows = DeliveryEvent.objects.filter(mailout_id=mailout_id).values_list("n", "type", "at")
    found = Counter(rows.iterator(chunk_size=10_000))
    missing, extra = expected.events - found, found - expected.events
    verdict.events += found.total()
    verdict.lost += missing.total()
    verdict.doubled += extra.total()
    for word, some in (("lost", missing), ("doubled", extra)):
        verdict.reasons += [f"mailout {mailout_id}, {word}: {key}" for key in list(some)[:SHOWN]]


def _judge_sums(verdict: Verdict, mailout_id: int, expected: Expected) -> None:
    def sums(model: Any, place: str) -> Totals:
        rows = model.objects.filter(mailout_id=mailout_id).values_list(place, "type", "total", "uniq")
        return {(key, type_): (total, uniq) for key, type_, total, uniq in rows if total or uniq}

    by_hour = sums(StatHour, "hour")
    by_day: dict[tuple[object, int], tuple[int, int]] = {}
    for (hour, type_), (total, uniq) in by_hour.items():
        known = by_day.get((hour.date(), type_), (0, 0))  # type: ignore[attr-defined]
        by_day[hour.date(), type_] = (known[0] + total, known[1] + uniq)  # type: ignore[attr-defined]
    for what, found, wanted in (
        ("by email", sums(StatEmail, "email_no"), expected.by_email()),
        ("by hour", by_hour, expected.by_hour()),
        ("by day", by_day, expected.by_day()),
        ("by domain", sums(StatDomain, "domain_id"), expected.by_domain()),
    ):
        verdict.compare(f"mailout {mailout_id}, sums {what}", found, wanted)


def _judge_messages(verdict: Verdict, mailout_id: int, expected: Expected) -> None:
    messages = LedgerMessage.objects.filter(mailout_id=mailout_id)
    for type_, name in FACTS.items():
        found = dict(messages.filter(**{f"{name}__isnull": False}).values_list("n", name))
        wanted = {n: at for (n, known), at in expected.first.items() if known == type_}
        verdict.compare(f"mailout {mailout_id}, {name}", found, wanted)
    failed = set(messages.filter(state=MessageState.FAILED).values_list("n", flat=True))
    verdict.compare(f"mailout {mailout_id}, failed", failed, expected.people(EventType.REJECTED))


def _judge_report(verdict: Verdict, mailout_id: int, expected: Expected) -> None:
    """The page of the campaign, and the counters of batches and mailout that it begins with."""
    mailout = Mailout.objects.get(pk=mailout_id)
    campaign = Campaign.objects.get(mailout=mailout)
    report = read_report(mailout)
    rejected = len(expected.people(EventType.REJECTED))
    counted = MessageBatch.objects.filter(mailout_id=mailout_id).aggregate(sent=Sum("sent"), failed=Sum("failed"))
    verdict.compare(
        f"campaign {campaign.name}, batches", counted, {"sent": mailout.candidates - rejected, "failed": rejected}
    )
    told = {
        "candidates": report.account.candidates,
        "sent": report.sent,
        "failed": report.account.states["failed"],
        "delivered": report.tally.delivered,
        "bounced": report.tally.bounced,
        "rejected": report.tally.rejected,
        "complained": report.tally.complained,
        "opened": report.tally.opened + report.tally.machine_opened,
        "clicked": report.tally.clicked + report.tally.machine_clicked,
        "opens": report.tally.opens,
        "clicks": report.tally.clicks,
        "delivered by hour": sum(hour.tally.delivered for hour in report.by_hour),
        "delivered by domain": sum(domain.tally.delivered for domain in report.by_domain),
    }
    people = {type_: len(expected.people(type_)) for type_ in EventType}
    totals = Counter(type_ for _n, type_, _at in expected.events)
    verdict.compare(
        f"campaign {campaign.name}, report",
        told,
        {
            "candidates": mailout.candidates,
            "sent": mailout.candidates - rejected,
            "failed": rejected,
            "delivered": people[EventType.DELIVERED],
            "bounced": people[EventType.BOUNCED],
            "rejected": rejected,
            "complained": people[EventType.COMPLAINED],
            "opened": people[EventType.OPENED],
            "clicked": people[EventType.CLICKED],
            "opens": totals[EventType.OPENED.value],
            "clicks": totals[EventType.CLICKED.value],
            "delivered by hour": people[EventType.DELIVERED],
            "delivered by domain": people[EventType.DELIVERED],
        },
    )
