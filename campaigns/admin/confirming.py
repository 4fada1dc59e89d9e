"""The last steps: Checks, Review with the typed number, and calling a schedule off."""

from __future__ import annotations

import re
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from amazonsender.core.errors import DomainError
from campaigns.admin.editing import access_campaign, fresh_look, render_step
from campaigns.admin.figures import audience_account
from campaigns.admin.problems import STEP_OF_BLOCKER, describe_problems
from campaigns.admin.turns import turns_of
from campaigns.admin.wording import city_of, duration_words, exact_words, number, planned_words, when_words
from campaigns.models import Campaign, CampaignState
from campaigns.selectors.history import last_test
from campaigns.selectors.timing import free_quota, sending_seconds
from campaigns.services.launching import NotReady, launch_campaign
from campaigns.services.reviewing import Review, audience_of, review_campaign
from campaigns.services.scheduling import schedule_campaign, unschedule_campaign
from delivery.compiling import CompileError
from delivery.models import ExclusionReason
from delivery.selectors.audience import list_audience
from organizations.admin.pages import admin_page, render_page
from organizations.requests import organization_of, user_of

GMAIL_CUTS_BYTES = 102 * 1024
SHOWN = 50


@admin_page("campaigns/<int:pk>/checks/", name="campaign_checks", permission="campaign:view")
def checks(request: HttpRequest, pk: int) -> HttpResponse:
    """What stops it and what is worth a minute, looked at again on every opening."""
    campaign = access_campaign(request, pk)
    if campaign.mailout_id:
        return redirect("admin:campaign_live", pk=pk)
    review = review_campaign(campaign)
    size = review.content.compilation.html_bytes if review.content.compilation else 0
    seconds = sending_seconds(review.count.eligible, review.account)
    return render_step(
        request,
        campaign,
        "checks",
        look=fresh_look(campaign, review),
        review=review,
        blockers=[(blocker, _step_url(blocker.code, pk)) for blocker in review.blockers],
        problems=describe_problems(review.content.composition, review.content.blocking),
        notes=describe_problems(review.content.composition, review.content.notes),
        passed=passed_checks(review),
        size=size,
        size_share=min(100, round(100 * size / (GMAIL_CUTS_BYTES * 1.25))),
        size_tone="ok" if size < GMAIL_CUTS_BYTES else "warn",
        duration=duration_words(seconds) if seconds else "",
        quota=free_quota(review.account),
        checked_at=timezone.localtime().strftime("%H:%M:%S"),
    )


def passed_checks(review: Review) -> list[str]:
    """What was looked at and found in order."""
    stopped = {blocker.code for blocker in review.blockers}
    content_codes = {finding.code for finding in review.content.findings}
    passed = []
    if "sender_not_verified" not in stopped and "no_account" not in stopped:
        passed.append(_("The sender is verified with the provider"))
    if "no_postal_address" not in stopped:
        passed.append(_("Postal address in the footer"))
    if review.content.compilation is not None:
        passed.append(_("Unsubscribe link, and one click for Gmail and Yahoo"))
        passed.append(_("A text part, made from the HTML"))
        if not content_codes & {"unknown_variable", "unknown_name"}:
            passed.append(_("Every field it uses exists"))
    if "no_audience" not in stopped and review.count.eligible:
        passed.append(_("There is somebody to send it to"))
    quota = free_quota(review.account)
    if quota is None or quota >= review.count.eligible:
        passed.append(_("Quota is enough for everybody"))
    return passed


@admin_page(
    "campaigns/<int:pk>/review/", name="campaign_review", permission="campaign:view", post_permission="campaign:send"
)
def review_step(request: HttpRequest, pk: int) -> HttpResponse:
    """Who gets it, who does not and why; the number typed sends it. Posting twice sends once."""
    campaign = access_campaign(request, pk)
    if request.method == "POST":
        return _confirm(request, campaign)
    if campaign.mailout_id:
        return redirect("admin:campaign_live", pk=pk)
    return _render_review(request, campaign)


def _confirm(request: HttpRequest, campaign: Campaign) -> HttpResponse:
    if campaign.mailout_id:
        return redirect("admin:campaign_live", pk=campaign.pk)
    revision, people = _posted(request, "revision"), _posted(request, "people")
    if people is None or revision is None or _posted(request, "typed") != people:
        said = _("Type the number of people to confirm that it goes to all of them.")
        return _render_review(request, campaign, refusal=said, status=422)
    try:
        if campaign.scheduled_at and request.POST.get("act") == "schedule":
            schedule_campaign(campaign=campaign, revision=revision, actor=user_of(request), people=people)
            messages.success(request, _("Scheduled for %(time)s.") % {"time": planned_words(campaign)})
            return redirect("admin:campaign_review", pk=campaign.pk)
        mailout = launch_campaign(campaign=campaign, revision=revision, actor=user_of(request), people=people)
    except (DomainError, CompileError) as error:
        said = "" if isinstance(error, NotReady) else str(error)
        return _render_review(request, access_campaign(request, campaign.pk), refusal=said, status=409)
    if mailout.is_dry_run:
        return redirect("admin:campaign_dry_run", pk=campaign.pk, mailout_id=mailout.pk)
    return redirect("admin:campaign_live", pk=campaign.pk)


def _render_review(request: HttpRequest, campaign: Campaign, *, refusal: str = "", status: int = 200) -> HttpResponse:
    review = review_campaign(campaign)
    seconds = sending_seconds(review.count.eligible, review.account)
    turns = turns_of(campaign)

    def link(reason: ExclusionReason) -> str:
        return f"{reverse('admin:campaign_left_out', args=[campaign.pk])}?reason={int(reason)}"

    return render_step(
        request,
        campaign,
        "review",
        status=status,
        look=fresh_look(campaign, review),
        refusal=refusal,
        review=review,
        blockers=[(blocker, _step_url(blocker.code, campaign.pk)) for blocker in review.blockers],
        problems=describe_problems(review.content.composition, review.content.blocking),
        people=review.count.eligible,
        left_out=review.count.candidates - review.count.eligible,
        account=audience_account(review.count, link),
        to=", ".join(campaign.lists.order_by("name").values_list("name", flat=True)),
        without=", ".join(campaign.excluded_lists.order_by("name").values_list("name", flat=True)),
        starts_words=when_words(campaign.scheduled_at),
        turns=turns,
        # Who is scheduled already starts when that was counted; who is not, as counted now.
        until_words=when_words(campaign.starts_at or (turns.first_at if turns else campaign.scheduled_at)),
        city=city_of(campaign.organization.time_zone),
        starts_exact=exact_words(campaign.scheduled_at) if campaign.scheduled_at else "",
        is_past=campaign.scheduled_at is not None and campaign.scheduled_at <= timezone.now(),
        duration=duration_words(seconds) if seconds else "",
        cut_off=when_words(campaign.not_after),
        test=last_test(campaign),
        is_scheduled=campaign.state == CampaignState.SCHEDULED,
        number=number(review.count.eligible),
    )


@admin_page("campaigns/<int:pk>/call-off/", name="campaign_call_off", permission="campaign:send")
@require_POST
def call_off(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a scheduled campaign a draft again."""
    campaign = access_campaign(request, pk)
    try:
        unschedule_campaign(campaign=campaign, actor=user_of(request))
        messages.success(request, _("Called off. It is a draft again."))
    except DomainError as error:
        messages.error(request, str(error))
    return redirect("admin:campaign", pk=pk)


@admin_page("campaigns/<int:pk>/left-out/", name="campaign_left_out", permission="campaign:view")
def left_out(request: HttpRequest, pk: int) -> HttpResponse:
    """The people whom one reason leaves out, by name."""
    campaign = access_campaign(request, pk)
    reasons = [reason for reason in ExclusionReason if reason]
    try:
        reason = ExclusionReason(int(request.GET.get("reason", "")))
    except ValueError:
        reason = reasons[0]
    people = list_audience(
        organization=organization_of(request),
        audience=audience_of(campaign),
        reason=reason,
        after=_number(request.GET.get("after")),
        limit=SHOWN,
    )
    context: dict[str, Any] = {
        "campaign": campaign,
        "reason": reason,
        "people": people,
        "after": people[-1].subscriber_id if len(people) == SHOWN else 0,
    }
    return render_page(request, "campaigns/left_out.html", title=campaign.name, is_fullwidth="1", **context)


def _step_url(code: str, pk: int) -> str:
    step = STEP_OF_BLOCKER.get(code)
    if step:
        return reverse(f"admin:campaign_{step}", args=[pk])
    return reverse("admin:organization_settings") if code == "no_postal_address" else ""


def _posted(request: HttpRequest, name: str) -> int | None:
    """A whole number as people type it: separators of thousands do not matter."""
    digits = re.sub(r"[\s.,'’\u00a0\u202f]", "", request.POST.get(name, ""))
    return int(digits) if digits.isdecimal() and len(digits) < 12 else None


def _number(value: str | None) -> int:
    return int(value) if value and value.isdecimal() and len(value) < 19 else 0
