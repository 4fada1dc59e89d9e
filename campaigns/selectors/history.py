"""What was tried with a campaign before it went out: test sends and dry runs."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from campaigns.models import Campaign
from delivery.models import Mailout
from organizations.models import AuditEntry


def dry_run_prefix(campaign: Campaign) -> str:
    """What the idempotency keys of a campaign's dry runs begin with."""
    return f"campaign:{campaign.pk}:dry:"


@dataclass(frozen=True)
class LastTest:
    """A test send: when, by whom, to how many, and whether the campaign is still what was tested."""

    at: datetime.datetime
    who: str
    people: int
    is_current: bool
    mailout_id: int


def last_test(campaign: Campaign) -> LastTest | None:
    """The newest test send."""
    entry = (
        AuditEntry.objects.for_organization(campaign.organization)
        .filter(action="campaign.test_sent", object_type="campaign", object_id=str(campaign.pk))
        .select_related("actor")
        .order_by("-at")
        .first()
    )
    if entry is None:
        return None
    return LastTest(
        at=entry.at,
        who=str(entry.actor) if entry.actor else "",
        people=int(entry.detail.get("people", 0)),
        is_current=entry.detail.get("revision") == campaign.revision,
        mailout_id=int(entry.detail.get("mailout_id", 0)),
    )


def dry_runs(campaign: Campaign, *, limit: int = 5) -> list[Mailout]:
    """The newest dry runs."""
    runs = Mailout.objects.for_organization(campaign.organization).filter(
        idempotency_key__startswith=dry_run_prefix(campaign), is_dry_run=True
    )
    return list(runs.order_by("-id")[:limit])
