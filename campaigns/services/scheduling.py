"""Planned campaigns: the schedule is in the database and claimed there, so that two schedulers launch once."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

import structlog
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from amazonsender.core.errors import Conflict, DomainError, InvalidInput
from campaigns.models import Campaign, CampaignState
from campaigns.services.launching import (
    STARTABLE,
    already_started,
    changed_since,
    confirmation_of,
    launch_campaign,
    local_time_of,
    require_ready,
    require_same_people,
)
from campaigns.services.reviewing import audience_of
from delivery.compiling import CompileError
from delivery.selectors.waves import list_waves
from organizations.models import User
from organizations.services.audit import record

logger = structlog.get_logger(__name__)

GRACE = datetime.timedelta(hours=1)  # later than this nobody expects the mail any more: a person decides
MOST_PER_TICK = 100


@dataclass(frozen=True)
class DueOutcome:
    """What became of the campaigns that were due, by id."""

    launched: list[int] = field(default_factory=list)
    held: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)


def schedule_campaign(*, campaign: Campaign, revision: int, actor: User | None, people: int | None = None) -> Campaign:
    """Let the campaign start by itself: at its `scheduled_at`, or when the first time zone's clocks show that.

    Raises InvalidInput without a time in the future, NotReady with every reason against it, Conflict when the
    campaign or its audience changed since the confirmation.
    """
    if campaign.scheduled_at is None or campaign.scheduled_at <= timezone.now():
        raise InvalidInput(_("Choose a time in the future."))
    if campaign.not_after is not None and campaign.not_after <= campaign.scheduled_at:
        raise InvalidInput(_("The cut-off lies before the start."))
    starts_at = _first_moment(campaign, campaign.scheduled_at)
    ready = require_ready(campaign)
    require_same_people(campaign, review=ready, people=people)
    free = Campaign.objects.filter(pk=campaign.pk, revision=revision, state__in=STARTABLE, mailout=None)
    moved = free.update(
        state=CampaignState.SCHEDULED,
        state_detail="",
        starts_at=starts_at,
        confirmed=confirmation_of(campaign, people=ready.count.eligible),
        updated_by=actor,
    )
    if moved == 0:
        raise changed_since(Campaign.objects.get(pk=campaign.pk), revision)
    record(
        organization=campaign.organization,
        actor=actor,
        action="campaign.scheduled",
        target=campaign,
        at=campaign.scheduled_at.isoformat(),
        starts_at=starts_at.isoformat(),
        people=ready.count.eligible,
    )
    campaign.refresh_from_db()
    return campaign


def _first_moment(campaign: Campaign, scheduled_at: datetime.datetime) -> datetime.datetime:
    """When it has to be launched. Raises InvalidInput for a cut-off before the turn of the last time zone."""
    if not campaign.is_by_local_time:
        return scheduled_at
    found = list_waves(
        organization=campaign.organization, audience=audience_of(campaign), local_time=local_time_of(campaign)
    ).waves
    moments = [wave.at for wave in found] or [scheduled_at]
    if campaign.not_after is not None and campaign.not_after <= moments[-1]:
        raise InvalidInput(_("The cut-off lies before the turn of the last time zone: those people would get nothing."))
    return max(moments[0], timezone.now())  # whose hour has passed get it at once, which is not late


def unschedule_campaign(*, campaign: Campaign, actor: User | None) -> Campaign:
    """Call a scheduled campaign off: it is a draft again. Raises Conflict when it is not scheduled any more."""
    scheduled = Campaign.objects.filter(pk=campaign.pk, state=CampaignState.SCHEDULED)
    if (
        scheduled.update(state=CampaignState.DRAFT, state_detail="", starts_at=None, confirmed=None, updated_by=actor)
        == 0
    ):
        raise Conflict(
            _("Too late: it has started. Pause it or stop it on its page.")
            if already_started(campaign)
            else _("It is not scheduled any more.")
        )
    record(organization=campaign.organization, actor=actor, action="campaign.unscheduled", target=campaign)
    campaign.refresh_from_db()
    return campaign


def launch_due_campaigns(*, now: datetime.datetime | None = None) -> DueOutcome:
    """Launch what is due. May run anywhere, any number of times at once: each campaign launches once."""
    now = now or timezone.now()
    outcome = DueOutcome()
    due = Campaign.objects.filter(state=CampaignState.SCHEDULED, starts_at__lte=now)
    for campaign in due.select_related("organization").order_by("starts_at")[:MOST_PER_TICK]:
        with override(campaign.organization.locale), timezone.override(campaign.organization.zone):
            _start_one(campaign, now, outcome)
    return outcome


def _start_one(campaign: Campaign, now: datetime.datetime, outcome: DueOutcome) -> None:
    planned = campaign.starts_at or now
    if now - planned > GRACE:
        planned = timezone.localtime(planned)
        if _give_back(campaign, CampaignState.DRAFT, _late(planned)):
            outcome.held.append(campaign.pk)
        return
    try:
        launch_campaign(campaign=campaign, revision=campaign.revision, actor=campaign.updated_by, from_schedule=True)
    except (DomainError, CompileError) as error:
        if _give_back(campaign, CampaignState.FAILED, str(error)):
            outcome.failed.append(campaign.pk)
            logger.warning("campaigns.schedule_failed", campaign_id=campaign.pk)
    except Exception:
        # One broken campaign must not keep the others waiting; it is tried again until the hour is over, then held.
        logger.exception("campaigns.schedule_broken", campaign_id=campaign.pk)
    else:
        outcome.launched.append(campaign.pk)


def _late(planned: datetime.datetime) -> str:
    return _(
        "It was planned for %(time)s, but nothing was running then. It was not sent, because more than an hour has "
        "passed. Send it now or choose another time."
    ) % {"time": planned.strftime("%Y-%m-%d %H:%M %Z")}


def _give_back(campaign: Campaign, state: CampaignState, detail: str) -> bool:
    """Take the schedule off with its reason; False when somebody else was faster."""
    mine = Campaign.objects.filter(pk=campaign.pk, state=CampaignState.SCHEDULED, revision=campaign.revision)
    return mine.update(state=state, state_detail=detail, starts_at=None, confirmed=None) == 1
