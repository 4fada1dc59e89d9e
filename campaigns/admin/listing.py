"""The list of campaigns, and what makes, copies, undoes and archives one."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy
from django.views.decorators.http import require_POST

from amazonsender.core.errors import DomainError
from campaigns.admin.editing import access_campaign
from campaigns.admin.wording import planned_words, when_words
from campaigns.models import Campaign, CampaignState, ContentFormat, Template
from campaigns.selectors.listing import Row, count_by_state, list_campaigns
from campaigns.services.compose import (
    archive_campaign,
    create_campaign,
    duplicate_campaign,
    save_campaign,
    undo_last_save,
)
from campaigns.services.templates import ensure_starters
from delivery.models import StateReason
from organizations.access import access
from organizations.admin.jump import Jump, jump_finder
from organizations.admin.pages import admin_page, render_page
from organizations.models import Member
from organizations.permissions import may
from organizations.requests import allowed, organization_of, user_of

TABS = (
    ("", gettext_lazy("All")),
    ("draft", gettext_lazy("Drafts")),
    ("scheduled", gettext_lazy("Scheduled")),
    ("sending", gettext_lazy("Sending")),
    ("paused", gettext_lazy("Paused")),
    ("sent", pgettext_lazy("campaigns", "Sent")),
    ("cancelled", gettext_lazy("Stopped")),
    ("failed", gettext_lazy("Failed")),
)


@admin_page("campaigns/", name="campaigns_campaign_changelist", permission="campaign:view")
def campaigns(request: HttpRequest) -> HttpResponse:
    """All campaigns, the newest first; search and state are in the address."""
    organization = organization_of(request)
    state, query = request.GET.get("state", ""), request.GET.get("q", "").strip()[:100]
    state = state if state in dict(TABS) else ""
    counts = count_by_state(organization)
    page = list_campaigns(organization, state=state, query=query, before=_before(request))
    return render_page(
        request,
        "campaigns/list.html",
        title=_("Campaigns"),
        rows=[(row, note_of(row), moment_of(row)) for row in page.rows],
        older_than=page.older_than,
        tabs=[(key, label, counts.get(key, 0)) for key, label in TABS if not key or key == state or counts.get(key)],
        state=state,
        q=query,
        is_first=not _before(request),
        is_empty=counts[""] == 0 and not query,
        may_edit=allowed(request, "campaign:edit"),
        is_fullwidth="1",
    )


def note_of(row: Row) -> tuple[str, str]:
    """What stands under the pill: a sentence and its tone."""
    campaign, mailout = row.campaign, row.campaign.mailout
    if row.state == CampaignState.PAUSED and mailout is not None and mailout.state_reason:
        return str(StateReason(mailout.state_reason).label), "warn"
    if row.state == CampaignState.FAILED:
        return campaign.state_detail, "stop"
    if row.state == CampaignState.DRAFT and campaign.state_detail:
        return campaign.state_detail, "warn"
    return "", ""


def moment_of(row: Row) -> str:
    """When it happened, will happen or was edited."""
    campaign, mailout = row.campaign, row.campaign.mailout
    if mailout is not None:
        return when_words(mailout.frozen_at)
    if campaign.scheduled_at:
        return planned_words(campaign)
    return _("edited %(when)s") % {"when": when_words(campaign.updated_at)}


class NewCampaignForm(forms.Form):
    name = forms.CharField(max_length=200)
    template_id = forms.IntegerField(required=False, min_value=1)
    format = forms.ChoiceField(choices=ContentFormat.choices, required=False)


@admin_page("campaigns/new/", name="campaign_new", permission="campaign:edit")
def new(request: HttpRequest) -> HttpResponse:
    """Name it, choose how to begin."""
    organization = organization_of(request)
    form = NewCampaignForm(request.POST or None)
    refusal = ""
    if request.method == "POST":
        if form.is_valid():
            try:
                values = form.cleaned_data
                template = None
                if values["template_id"]:
                    template = access(Template.objects.all(), organization=organization, pk=values["template_id"])
                campaign = create_campaign(
                    organization=organization,
                    actor=user_of(request),
                    name=values["name"],
                    template=template,
                    content_format=values["format"] or ContentFormat.HTML,
                )
                return redirect("admin:campaign_content", pk=campaign.pk)
            except DomainError as error:
                refusal = str(error)
        else:
            refusal = _("Give the campaign a name.")
    if not Template.objects.for_organization(organization).exists():
        ensure_starters(organization)
    return render_page(
        request,
        "campaigns/new.html",
        title=_("New campaign"),
        status=422 if refusal else 200,
        layouts=Template.objects.for_organization(organization).filter(is_archived=False).order_by("pk"),
        refusal=refusal,
        form=form,
        formats=ContentFormat.choices,
        is_fullwidth="1",
    )


@admin_page("campaigns/<int:pk>/rename/", name="campaign_rename", permission="campaign:edit")
@require_POST
def rename(request: HttpRequest, pk: int) -> HttpResponse:
    """Give it another name."""
    campaign = access_campaign(request, pk)
    try:
        save_campaign(
            campaign=campaign,
            changes={"name": request.POST.get("name", "")},
            revision=campaign.revision,
            actor=user_of(request),
        )
    except DomainError as error:
        messages.error(request, str(error))
    return redirect("admin:campaign", pk=pk)


@admin_page("campaigns/<int:pk>/undo/", name="campaign_undo", permission="campaign:edit")
@require_POST
def undo(request: HttpRequest, pk: int) -> HttpResponse:
    """Take the last save back."""
    campaign = access_campaign(request, pk)
    try:
        undo_last_save(campaign=campaign, actor=user_of(request))
        messages.success(request, _("The last save was taken back."))
    except DomainError as error:
        messages.error(request, str(error))
    step = request.POST.get("step", "")
    return redirect(
        f"admin:campaign_{step}" if step in ("content", "audience", "sender", "when") else "admin:campaign", pk=pk
    )


@admin_page("campaigns/<int:pk>/duplicate/", name="campaign_duplicate", permission="campaign:edit")
@require_POST
def duplicate(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a new draft of it."""
    copy = duplicate_campaign(campaign=access_campaign(request, pk), actor=user_of(request))
    messages.success(request, _("This is the copy. Its times and its history start anew."))
    return redirect("admin:campaign_content", pk=copy.pk)


@admin_page("campaigns/<int:pk>/archive/", name="campaign_archive", permission="campaign:edit")
@require_POST
def archive(request: HttpRequest, pk: int) -> HttpResponse:
    """Take it out of the list."""
    campaign = access_campaign(request, pk)
    try:
        archive_campaign(campaign=campaign, actor=user_of(request))
        messages.success(request, _("“%(name)s” is archived. Searching still finds it.") % {"name": campaign.name})
    except DomainError as error:
        messages.error(request, str(error))
        return redirect("admin:campaign", pk=pk)
    return redirect("admin:campaigns_campaign_changelist")


@jump_finder
def find_campaigns(member: Member, term: str) -> list[Jump]:
    """Campaigns for Ctrl K: among the newest hundred of the organization, by the beginning of a word of the name."""
    if not may(member, "campaign:view"):
        return []
    newest = Campaign.objects.for_organization(member.organization).defer("body").order_by("-pk")[:100]
    return [
        Jump(campaign.name, _("Campaign"), reverse("admin:campaign", args=[campaign.pk]), "send")
        for campaign in newest
        if term in campaign.name.lower()
    ][:5]


def _before(request: HttpRequest) -> int:
    value = request.GET.get("before", "")
    return int(value) if value.isdecimal() and len(value) < 19 else 0
