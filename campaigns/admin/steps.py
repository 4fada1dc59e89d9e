"""The steps of a campaign that are filled in: Content, Audience, Sender & subject, When."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from campaigns.admin.editing import Saved, access_campaign, edit_step
from campaigns.admin.figures import audience_account
from campaigns.admin.forms import read_audience, read_content, read_sender, read_when
from campaigns.admin.preview import preview_context
from campaigns.admin.problems import describe_problems
from campaigns.admin.turns import turns_of
from campaigns.admin.wording import city_of
from campaigns.models import Campaign, ContentFormat, Template
from campaigns.selectors.accounts import account_of, accounts_of, identities_of, is_sender_verified
from campaigns.selectors.audience import lists_with_people, sample_people
from campaigns.selectors.timing import sending_seconds
from campaigns.services.reviewing import audience_of, check_content
from campaigns.templatetags.campaign_words import readable
from delivery.models import ExclusionReason
from delivery.selectors.audience import count_audience
from organizations.admin.pages import admin_page
from organizations.requests import organization_of
from subscribers.models import AttributeDefinition

# Offered to an empty campaign, for somebody who would rather change a letter than begin one.
EXAMPLES = {
    ContentFormat.MARKDOWN: (Path(__file__).parent / "content_example.md").read_text(encoding="utf-8"),
    ContentFormat.HTML: (Path(__file__).parent / "content_example.html").read_text(encoding="utf-8"),
}
PHONE_SUBJECT = 41  # characters of a subject that phones show


@admin_page("campaigns/<int:pk>/", name="campaign", permission="campaign:view")
def campaign_page(request: HttpRequest, pk: int) -> HttpResponse:
    """The page a campaign opens on: its live page once it has been sent."""
    campaign = access_campaign(request, pk)
    return redirect("admin:campaign_live" if campaign.mailout_id else "admin:campaign_content", pk=pk)


@admin_page(
    "campaigns/<int:pk>/content/",
    name="campaign_content",
    permission="campaign:view",
    post_permission="campaign:edit",
)
def content(request: HttpRequest, pk: int) -> HttpResponse:
    """Code beside its preview, problems below."""

    def context(campaign: Campaign) -> dict[str, Any]:
        check = check_content(campaign)
        offered = Q(is_archived=False) | Q(pk=campaign.template_id)
        return {
            "problems": describe_problems(check.composition, check.findings),
            "formats": ContentFormat.choices,
            "example": EXAMPLES.get(ContentFormat(campaign.format), ""),
            "layouts": Template.objects.for_organization(campaign.organization).filter(offered).order_by("name"),
            "attributes": AttributeDefinition.objects.for_organization(campaign.organization).order_by("key")[:40],
            **preview_context(request, campaign),
        }

    return edit_step(request, pk, step="content", read=lambda data: Saved(read_content(data)), context=context)


@admin_page(
    "campaigns/<int:pk>/audience/",
    name="campaign_audience",
    permission="campaign:view",
    post_permission="campaign:edit",
)
def audience(request: HttpRequest, pk: int) -> HttpResponse:
    """Who gets it and who does not, with every reason."""
    organization = organization_of(request)
    choices = lists_with_people(organization)

    def read(data: QueryDict) -> Saved:
        return Saved(read_audience(data, [entry.list.pk for entry in choices]))

    def link(reason: ExclusionReason) -> str:
        return f"{reverse('admin:campaign_left_out', args=[pk])}?reason={int(reason)}"

    def context(campaign: Campaign) -> dict[str, Any]:
        chosen = audience_of(campaign)
        count = count_audience(organization=organization, audience=chosen)
        people = sample_people(organization, chosen, after=_after(request))
        return {
            "choices": choices,
            "chosen": chosen,
            "count": count,
            "account": audience_account(count, link),
            "people": people,
            "people_after": people[-1].pk if len(people) == 10 else 0,
        }

    return edit_step(request, pk, step="audience", read=read, context=context)


@admin_page(
    "campaigns/<int:pk>/sender/", name="campaign_sender", permission="campaign:view", post_permission="campaign:edit"
)
def sender(request: HttpRequest, pk: int) -> HttpResponse:
    """From whom, with which subject, through which account."""

    def context(campaign: Campaign) -> dict[str, Any]:
        account = account_of(campaign)
        identities = identities_of(campaign.organization, account)
        length = len(readable(campaign.subject))  # what readers get, not the Liquid
        return {
            "accounts": accounts_of(campaign.organization),
            "account": account,
            "identities": identities,
            "is_verified": is_sender_verified(campaign.sender_email, identities),
            "subject_length": length,
            "subject_cut": PHONE_SUBJECT,
            "subject_share": min(100, round(100 * length / (2 * PHONE_SUBJECT))),
            "initial": (campaign.sender_name or campaign.organization.name)[:1].upper(),
            "hour": timezone.localtime(campaign.scheduled_at or timezone.now()).strftime("%H:%M"),
        }

    return edit_step(request, pk, step="sender", read=lambda data: Saved(read_sender(data)), context=context)


@admin_page(
    "campaigns/<int:pk>/when/", name="campaign_when", permission="campaign:view", post_permission="campaign:edit"
)
def when(request: HttpRequest, pk: int) -> HttpResponse:
    """Now, at a time, or at that time wherever each person lives; and until when."""
    zone = organization_of(request).zone

    def read(data: QueryDict) -> Saved:
        changes, notes = read_when(data, zone)
        return Saved(changes, tuple(notes))

    def context(campaign: Campaign) -> dict[str, Any]:
        count = count_audience(organization=campaign.organization, audience=audience_of(campaign))
        account = account_of(campaign)
        turns = turns_of(campaign)
        seconds = sending_seconds(turns.last_people if turns else count.eligible, account)
        starts = turns.first_at if turns else campaign.scheduled_at or timezone.now()
        return {
            "city": city_of(campaign.organization.time_zone),
            "today": timezone.localdate(),
            "people": count.eligible,
            "starts": starts,
            "turns": turns,
            "ends": (turns.last_at if turns else starts) + datetime.timedelta(seconds=seconds) if seconds else None,
            "account": account,
            "is_past": campaign.scheduled_at is not None and campaign.scheduled_at <= timezone.now(),
        }

    return edit_step(request, pk, step="when", read=read, context=context)


def _after(request: HttpRequest) -> int:
    try:
        return max(0, int(request.GET.get("after", "0")))
    except ValueError:
        return 0
