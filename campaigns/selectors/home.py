"""What the first page says: what needs a person, what is going on, what came of the last ones."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.db.models import Q
from django.utils import timezone

from campaigns.models import Campaign, CampaignState
from campaigns.selectors.accounts import accounts_of
from campaigns.selectors.listing import Row, rows_of
from delivery.models import AccountPace, EventType, Mailout, MailoutState, SendingAccount, StatEmail
from delivery.selectors.progress import Progress, mailout_progress
from organizations.models import Organization
from subscribers.models import List, Subscriber

MOST_NEEDS = 7

HEALTH_WINDOW = datetime.timedelta(days=30)


@dataclass(frozen=True)
class Health:
    """An account and its rates over the last 30 days, in percent of what was sent."""

    account: SendingAccount
    parked_reason: str
    parked_until: datetime.datetime | None
    bounces: float
    complaints: float
    sent: int


@dataclass(frozen=True)
class FirstSteps:
    """What an organization has already, for the page before the first campaign."""

    has_address: bool
    has_account: bool
    has_list: bool
    has_people: bool
    has_campaign: bool
    has_sent: bool

    @property
    def done(self) -> int:
        return sum(
            (self.has_address, self.has_account, self.has_list, self.has_people, self.has_campaign, self.has_sent)
        )


def first_steps(organization: Organization) -> FirstSteps:
    """Which of the six steps to the first campaign are taken."""
    campaigns = Campaign.objects.for_organization(organization)
    return FirstSteps(
        has_address=bool(organization.postal_address.strip()),
        has_account=bool(accounts_of(organization)),
        has_list=List.objects.for_organization(organization).exists(),
        has_people=Subscriber.objects.for_organization(organization).exists(),
        has_campaign=campaigns.exists(),
        has_sent=campaigns.filter(mailout__isnull=False).exists(),
    )


def open_campaigns(organization: Organization) -> list[tuple[Campaign, Progress]]:
    """Those that are sending or paused, with their progress; there are never many."""
    found = (
        Campaign.objects.for_organization(organization)
        .filter(mailout__state__in=(MailoutState.SENDING, MailoutState.PAUSED, MailoutState.CANCELLING))
        .select_related("mailout", "mailout__account")
        .defer("body")
        .order_by("-pk")[:10]
    )
    return [(campaign, mailout_progress(campaign.mailout)) for campaign in found if campaign.mailout is not None]


def held_campaigns(organization: Organization) -> list[Campaign]:
    """Failed ones, and drafts that were held back or have a date: what a person should look at."""
    held = Q(state=CampaignState.FAILED) | Q(state=CampaignState.DRAFT) & (
        ~Q(state_detail="") | Q(scheduled_at__isnull=False)
    )
    found = Campaign.objects.for_organization(organization).filter(held, mailout=None, is_archived=False).defer("body")
    return list(found.order_by("scheduled_at", "-pk")[:MOST_NEEDS])


def coming_campaigns(organization: Organization) -> list[Campaign]:
    """The next scheduled ones."""
    found = Campaign.objects.for_organization(organization).filter(state=CampaignState.SCHEDULED, mailout=None)
    return list(found.defer("body").prefetch_related("lists").order_by("scheduled_at")[:5])


def last_rows(organization: Organization, *, limit: int = 5) -> list[Row]:
    """The last finished campaigns with their figures."""
    found = (
        Campaign.objects.for_organization(organization)
        .filter(mailout__state=MailoutState.FINISHED)
        .select_related("mailout")
        .defer("body")
        .order_by("-mailout_id")[:limit]
    )
    return rows_of(list(found))


def account_health(organization: Organization) -> list[Health]:
    """The organization's accounts: parked or not, and their rates. Sums roll-ups of a month, not messages."""
    since = timezone.now() - HEALTH_WINDOW
    accounts = accounts_of(organization)
    paces = {pace.account_id: pace for pace in AccountPace.objects.filter(account__in=accounts)}
    owners = dict(
        Mailout.objects.for_organization(organization)
        .filter(account__in=accounts, frozen_at__gte=since, is_dry_run=False)
        .values_list("pk", "account_id")
    )
    sums: dict[int, dict[int, int]] = {}
    wanted = (EventType.SENT, EventType.DELIVERED, EventType.BOUNCED, EventType.COMPLAINED)
    rows = StatEmail.objects.filter(mailout_id__in=list(owners), type__in=wanted)
    for mailout_id, kind, people in rows.values_list("mailout_id", "type", "uniq"):
        account = sums.setdefault(owners[mailout_id] or 0, {})
        account[kind] = account.get(kind, 0) + people
    return [_health(account, paces.get(account.pk), sums.get(account.pk, {})) for account in accounts]


def _health(account: SendingAccount, pace: AccountPace | None, sums: dict[int, int]) -> Health:
    bounced, complained = sums.get(EventType.BOUNCED, 0), sums.get(EventType.COMPLAINED, 0)
    sent = max(sums.get(EventType.SENT, 0), sums.get(EventType.DELIVERED, 0) + bounced)
    return Health(
        account=account,
        parked_reason=pace.parked_reason if pace else "",
        parked_until=pace.parked_until if pace else None,
        bounces=100 * bounced / sent if sent else 0.0,
        complaints=100 * complained / sent if sent else 0.0,
        sent=sent,
    )
