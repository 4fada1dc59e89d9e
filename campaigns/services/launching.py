"""Sending a campaign: at most once, however often and from wherever it is asked for."""

from __future__ import annotations

import datetime

import structlog
from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, override

from amazonsender.core.errors import Conflict, DomainError, InvalidInput
from campaigns.models import Campaign, CampaignState
from campaigns.selectors.changes import changes_since, describe_changes
from campaigns.selectors.content import compose_email
from campaigns.services.dry_run import run_dry
from campaigns.services.local_times import wall_time
from campaigns.services.reviewing import Review, audience_of, review_campaign
from delivery.compiling.headers import mailbox
from delivery.models import Mailout
from delivery.services.compiling import compile_and_store
from delivery.services.launching import launch_mailout
from organizations.models import User
from organizations.services.audit import record

logger = structlog.get_logger(__name__)

STARTABLE = (CampaignState.DRAFT, CampaignState.FAILED)


class NotReady(DomainError):
    """Something stops the campaign; `reasons` are all of them, as sentences."""

    def __init__(self, reasons: list[str]) -> None:
        self.reasons = reasons
        super().__init__(" ".join(reasons))


def launch_campaign(
    *, campaign: Campaign, revision: int, actor: User | None, people: int | None = None, from_schedule: bool = False
) -> Mailout:
    """Freeze the audience and start sending; returns the mailout.

    revision and people are what the confirmation showed. Asking again after it started returns the same mailout.

    1. Look for reasons against it: NotReady names all of them.
    2. Move the campaign to `sending` with one conditional UPDATE: of ten clicks nine wait here, then find it moved.
    3. Launch under the key `campaign:<id>` in the same transaction: a crash leaves neither or both.

    Raises NotReady, or Conflict when the campaign or its audience changed since the confirmation.
    """
    started = already_started(campaign)
    if started is not None:
        return started
    if settings.SENDING_MODE == "dry_run":
        return _simulate_installation(campaign, actor)
    if campaign.revision != revision:
        raise changed_since(campaign, revision)  # what is compiled below must be what was confirmed
    ready = require_ready(campaign)
    source = compose_email(campaign).source
    compiled = compile_and_store(organization=campaign.organization, source=source)
    states = (CampaignState.SCHEDULED,) if from_schedule else STARTABLE
    with transaction.atomic():
        claimed = Campaign.objects.filter(pk=campaign.pk, revision=revision, state__in=states, mailout=None)
        by_local_time = campaign.is_by_local_time and from_schedule  # whoever sends it now, sends it to all at once
        moved = claimed.update(
            state=CampaignState.SENDING, state_detail="", is_by_local_time=by_local_time, updated_by=actor
        )
        if moved == 0:
            return _same_or_conflict(campaign, revision)
        require_same_people(campaign, review=ready, people=people)
        mailout = launch_mailout(
            organization=campaign.organization,
            account=ready.account,
            name=campaign.name,
            idempotency_key=f"campaign:{campaign.pk}",
            emails=[compiled],
            audience=ready.audience,
            sender=mailbox(campaign.sender_name, campaign.sender_email),
            reply_to=campaign.reply_to,
            list_label=list_label(campaign),
            created_by=actor,
            not_after=campaign.not_after,
            local_time=local_time_of(campaign) if by_local_time else None,
        )
        Campaign.objects.filter(pk=campaign.pk).update(mailout=mailout)
        record(
            organization=campaign.organization,
            actor=actor,
            action="campaign.launched",
            target=campaign,
            mailout_id=mailout.pk,
            people=mailout.eligible,
        )
    logger.info("campaigns.launched", campaign_id=campaign.pk, mailout_id=mailout.pk, people=mailout.eligible)
    campaign.refresh_from_db()
    return mailout


def already_started(campaign: Campaign) -> Mailout | None:
    """The mailout of a campaign that has been launched, whatever the copy in memory says."""
    current = Campaign.objects.select_related("mailout").get(pk=campaign.pk)
    return current.mailout


def require_ready(campaign: Campaign, *, is_dry_run: bool = False) -> Review:
    """Review the campaign; raises NotReady with every reason against it."""
    review = review_campaign(campaign, is_dry_run=is_dry_run)
    if not review.is_clear:
        raise NotReady(review.reasons)
    return review


def require_same_people(campaign: Campaign, *, review: Review, people: int | None) -> None:
    """Raise Conflict when the audience is not what was confirmed: another number, or another set of lists."""
    confirmed = campaign.confirmed or {}
    lists = (list(review.audience.list_ids), list(review.audience.excluded_list_ids))
    if campaign.state == CampaignState.SCHEDULED and confirmed:
        if lists != (confirmed.get("list_ids"), confirmed.get("excluded_list_ids")):
            raise Conflict(_("A list of this campaign was deleted after it was scheduled. Look at the audience again."))
        return
    if people is not None and review.count.eligible != people:
        raise Conflict(_people_changed(review.count.eligible - people))


def list_label(campaign: Campaign) -> str:
    """The phrase of List-Id: the list when there is one, else the organization."""
    names = list(campaign.lists.values_list("name", flat=True)[:2])
    return names[0] if len(names) == 1 else campaign.organization.name


def local_time_of(campaign: Campaign) -> datetime.datetime:
    """What everybody's own clocks show when they are due: the wall-clock time at which it was scheduled."""
    if campaign.scheduled_at is None:
        raise InvalidInput(_("Choose a time in the future."))
    return wall_time(campaign.scheduled_at, campaign.organization.zone)


def confirmation_of(campaign: Campaign, *, people: int | None) -> dict[str, object]:
    """What is remembered of the confirmation of a scheduled campaign."""
    audience = audience_of(campaign)
    return {
        "list_ids": list(audience.list_ids),
        "excluded_list_ids": list(audience.excluded_list_ids),
        "people": people,
    }


def _people_changed(difference: int) -> str:
    if difference > 0:
        said = ngettext(
            "Since you opened this page %(n)s person joined the audience. Look again.",
            "Since you opened this page %(n)s people joined the audience. Look again.",
            difference,
        )
    else:
        said = ngettext(
            "Since you opened this page %(n)s person left the audience. Look again.",
            "Since you opened this page %(n)s people left the audience. Look again.",
            -difference,
        )
    return said % {"n": abs(difference)}


def _same_or_conflict(campaign: Campaign, revision: int) -> Mailout:
    current = Campaign.objects.select_related("mailout").get(pk=campaign.pk)
    if current.mailout is not None:
        return current.mailout
    raise changed_since(current, revision)


def changed_since(current: Campaign, revision: int) -> Conflict:
    """The Conflict that says what moved since a revision was looked at."""
    said = describe_changes(changes_since(current, revision)) if revision != current.revision else ""
    if said:
        return Conflict(_("Since you opened this page: %(what)s Look again.") % {"what": said})
    if current.state == CampaignState.SCHEDULED:
        return Conflict(_("It is scheduled already."))
    return Conflict(_("The campaign changed since you opened this page. Look again."))


def _simulate_installation(campaign: Campaign, actor: User | None) -> Mailout:
    """This installation only simulates: the campaign stays a draft, and says so."""
    mailout = run_dry(campaign=campaign, actor=actor)
    with override(campaign.organization.locale):  # the whole team reads it
        detail = _("Simulated: this installation sends nothing (SENDING_MODE=dry_run).")
    Campaign.objects.filter(pk=campaign.pk, mailout=None).update(
        state=CampaignState.DRAFT, state_detail=detail, updated_at=datetime.datetime.now(datetime.UTC)
    )
    campaign.refresh_from_db()
    return mailout
