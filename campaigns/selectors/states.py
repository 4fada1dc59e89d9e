"""The state that people see: a launched campaign's is its sending's, read where it is kept and never copied."""

from __future__ import annotations

from django.db.models import Case, CharField, F, Q, QuerySet, Value, When

from campaigns.models import Campaign, CampaignState
from delivery.models import MailoutState

FROM_MAILOUT: dict[str, CampaignState] = {
    MailoutState.SENDING: CampaignState.SENDING,
    MailoutState.PAUSED: CampaignState.PAUSED,
    MailoutState.CANCELLING: CampaignState.CANCELLED,
    MailoutState.CANCELLED: CampaignState.CANCELLED,
    MailoutState.FINISHED: CampaignState.SENT,
}


def state_of(campaign: Campaign) -> CampaignState:
    """The present state of one campaign; reads its mailout when that is not loaded yet."""
    if campaign.mailout_id and campaign.mailout:
        return FROM_MAILOUT[campaign.mailout.state]
    return CampaignState(campaign.state)


def with_present_state(campaigns: QuerySet[Campaign]) -> QuerySet[Campaign]:
    """Annotate `present_state`, by which lists filter and count."""
    whens = [When(mailout__state=theirs, then=Value(str(ours))) for theirs, ours in FROM_MAILOUT.items()]
    return campaigns.annotate(
        present_state=Case(*whens, default=F("state"), output_field=CharField()),
    )


def in_state(campaigns: QuerySet[Campaign], state: str) -> QuerySet[Campaign]:
    """Only those whose present state is this; failed ones count as drafts to mend elsewhere, not here."""
    theirs = [name for name, ours in FROM_MAILOUT.items() if ours == state]
    return campaigns.filter(Q(mailout__isnull=True, state=state) | Q(mailout__state__in=theirs))
