"""The list of campaigns: one page at a time by key, with figures in one query each, never one per row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, F, Q, QuerySet, Sum, Value
from django.db.models.functions import Coalesce

from campaigns.models import Campaign, CampaignState
from campaigns.selectors.states import in_state, state_of, with_present_state
from delivery.models import EventType, MessageBatch, StatEmail
from organizations.models import Organization

PAGE = 25


@dataclass(frozen=True)
class Row:
    """A campaign in the list. people: who is to get it; done: how many of them are settled; rates are of people."""

    campaign: Campaign
    state: CampaignState
    people: int | None
    done: int
    opened: float | None
    clicked: float | None

    @property
    def share(self) -> float:
        return round(100 * self.done / self.people, 1) if self.people else 0.0


@dataclass(frozen=True)
class Page:
    """Some rows, and the key after which the older ones begin (0: there are none)."""

    rows: list[Row]
    older_than: int


def list_campaigns(
    organization: Organization, *, state: str = "", query: str = "", before: int = 0, limit: int = PAGE
) -> Page:
    """The newest campaigns of a state whose name or subject has the words, archived ones only when searched for."""
    everything = Campaign.objects.for_organization(organization)
    found: QuerySet[Campaign] = (
        everything.filter(Q(name__icontains=query) | Q(subject__icontains=query))
        if query
        else everything.filter(is_archived=False)
    )
    if state:
        found = in_state(found, state)
    if before:
        found = found.filter(pk__lt=before)
    campaigns = list(found.select_related("mailout").defer("body").order_by("-pk")[: limit + 1])
    more = len(campaigns) > limit
    campaigns = campaigns[:limit]
    return Page(rows_of(campaigns), campaigns[-1].pk if more else 0)


def rows_of(campaigns: Sequence[Campaign]) -> list[Row]:
    """Figures for some campaigns: two queries, however many there are."""
    mailout_ids = [campaign.mailout_id for campaign in campaigns if campaign.mailout_id]
    settled = _settled([c.mailout.pk for c in campaigns if c.mailout is not None and c.mailout.is_open])
    people = _people(mailout_ids)
    return [_row(campaign, settled, people) for campaign in campaigns]


def count_by_state(organization: Organization) -> dict[str, int]:
    """How many campaigns are in each state; "" is all of them. An organization has thousands, not millions."""
    visible = Campaign.objects.for_organization(organization).filter(is_archived=False)
    states = with_present_state(visible)
    counted = states.values_list("present_state").annotate(n=Count("pk"))  # type: ignore[misc]  # annotated above
    counts: dict[str, int] = {str(state): n for state, n in counted}
    counts[""] = sum(counts.values())
    return counts


def _row(campaign: Campaign, settled: dict[int, int], people: dict[int, dict[int, int]]) -> Row:
    state = state_of(campaign)
    mailout = campaign.mailout
    if mailout is None:
        return Row(campaign, state, None, 0, None, None)
    delivered = people.get(mailout.pk, {}).get(EventType.DELIVERED, 0)

    def rate(event: EventType) -> float | None:
        return 100 * people[mailout.pk].get(event, 0) / delivered if delivered and not mailout.is_open else None

    return Row(
        campaign,
        state,
        mailout.eligible,
        settled.get(mailout.pk, 0),
        rate(EventType.OPENED),
        rate(EventType.CLICKED),
    )


def _settled(mailout_ids: list[int]) -> dict[int, int]:
    if not mailout_ids:
        return {}
    done = F("sent") + F("failed") + F("excluded") + F("unknown") + F("cancelled")
    sums = (
        MessageBatch.objects.filter(mailout_id__in=mailout_ids)
        .values("mailout_id")
        .annotate(done=Coalesce(Sum(done), Value(0)))
    )
    return {row["mailout_id"]: row["done"] for row in sums}


def _people(mailout_ids: list[int]) -> dict[int, dict[int, int]]:
    """People per mailout and event; opens and clicks are those of humans."""
    if not mailout_ids:
        return {}
    figures: dict[int, dict[int, int]] = {}
    sums = (
        StatEmail.objects.filter(
            mailout_id__in=mailout_ids, type__in=(EventType.DELIVERED, EventType.OPENED, EventType.CLICKED)
        )
        .values("mailout_id", "type")
        .annotate(all=Sum("uniq"), human=Sum("uniq_human"))
    )
    for row in sums:
        people = row["all"] if row["type"] == EventType.DELIVERED else row["human"]
        figures.setdefault(row["mailout_id"], {})[row["type"]] = people
    return figures
