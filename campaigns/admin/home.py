"""The first page: what needs a person, what is going on, how the last ones went, how healthy the sender is."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from campaigns.admin.live import headline, lead, share_done
from campaigns.admin.wording import number, planned_words, when_words
from campaigns.models import Campaign, CampaignState
from campaigns.selectors.home import (
    MOST_NEEDS,
    Health,
    account_health,
    coming_campaigns,
    first_steps,
    held_campaigns,
    last_rows,
    open_campaigns,
)
from delivery.models import ParkReason, StateReason
from delivery.selectors.progress import Progress
from organizations.admin.pages import home_page, render_page
from organizations.models import Organization
from organizations.requests import allowed, organization_of

STEPS_TO_FIRST = 6


@dataclass(frozen=True)
class Need:
    """Something that waits for a person: tone is stop, warn or nothing."""

    tone: str
    icon: str
    title: str
    text: str
    url: str
    act: str


@home_page
def home(request: HttpRequest) -> HttpResponse:
    """What do I do next, is anything burning."""
    organization = organization_of(request)
    steps = first_steps(organization)
    if not steps.has_sent and not steps.has_campaign:
        return render_page(
            request,
            "campaigns/first_steps.html",
            title=_("Home"),
            steps=steps,
            steps_to_first=STEPS_TO_FIRST,
            has_local_ses=bool(settings.LOCALSES_URL),
            may_edit=allowed(request, "campaign:edit"),
            is_fullwidth="1",
        )
    sending, health = open_campaigns(organization), account_health(organization)
    needs = [*_of_accounts(health), *_of_sending(sending), *_of_drafts(organization)]
    coming = coming_campaigns(organization)
    return render_page(
        request,
        "campaigns/home.html",
        title=_("Home"),
        needs=needs[:MOST_NEEDS],
        more_needs=max(0, len(needs) - MOST_NEEDS),
        sending=[(c, p, headline(p), lead(c.mailout, p), share_done(p)) for c, p in sending if c.mailout is not None],
        coming=[(campaign, planned_words(campaign)) for campaign in coming],
        last=[
            (row, when_words(row.campaign.mailout.frozen_at)) for row in last_rows(organization) if row.campaign.mailout
        ],
        health=[(entry, ParkReason(entry.parked_reason).label if entry.parked_reason else "") for entry in health],
        may_edit=allowed(request, "campaign:edit"),
        may_send=allowed(request, "campaign:send"),
        is_fullwidth="1",
    )


def _of_accounts(health: list[Health]) -> list[Need]:
    return [
        Need(
            "stop",
            "error",
            _("“%(account)s” sends nothing") % {"account": entry.account.name},
            f"{ParkReason(entry.parked_reason).label}."
            + (" " + _("Goes on %(when)s.") % {"when": when_words(entry.parked_until)} if entry.parked_until else ""),
            reverse("admin:sending_account", args=[entry.account.pk]),
            _("See why"),
        )
        for entry in health
        if entry.parked_reason
    ]


def _of_sending(sending: list[tuple[Campaign, Progress]]) -> list[Need]:
    return [
        Need(
            "stop" if campaign.mailout.state_reason != StateReason.BY_HAND else "warn",
            "pause_circle",
            _("“%(name)s” is paused") % {"name": campaign.name},
            _("%(reason)s. %(n)s people are waiting until you decide.")
            % {"reason": StateReason(campaign.mailout.state_reason).label, "n": number(progress.waiting)},
            reverse("admin:campaign_live", args=[campaign.pk]),
            _("See what happened"),
        )
        for campaign, progress in sending
        if campaign.mailout is not None and campaign.mailout.state == "paused" and campaign.mailout.state_reason
    ]


def _of_drafts(organization: Organization) -> list[Need]:
    needs = []
    for campaign in held_campaigns(organization):
        failed = campaign.state == CampaignState.FAILED
        if failed or campaign.state_detail:
            title = _("“%(name)s” did not go out") % {"name": campaign.name}
            text = campaign.state_detail
        else:
            title = _("“%(name)s” is not scheduled yet") % {"name": campaign.name}
            text = _("It is planned for %(when)s; nothing goes out before somebody confirms it.") % {
                "when": when_words(campaign.scheduled_at)
            }
        url = reverse("admin:campaign_checks" if failed else "admin:campaign_review", args=[campaign.pk])
        needs.append(Need("stop" if failed else "warn", "event_busy", title, text, url, _("Look")))
    return needs
