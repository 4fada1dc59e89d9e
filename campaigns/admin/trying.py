"""Trying a campaign before it goes out: test sends and dry runs. Neither changes the campaign."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from amazonsender.core.errors import DomainError
from campaigns.admin.editing import access_campaign
from campaigns.admin.figures import final_account, live_account
from campaigns.admin.live import share_done
from campaigns.admin.preview import preview_context, preview_subscriber
from campaigns.admin.wording import number, when_words
from campaigns.selectors.history import dry_runs, last_test
from campaigns.services.dry_run import run_dry
from campaigns.services.testing import send_campaign_test
from delivery.compiling import CompileError
from delivery.models import Mailout
from delivery.selectors.progress import mailout_account, mailout_progress
from organizations.access import access
from organizations.admin.pages import admin_page, render_page
from organizations.requests import organization_of, user_of


@admin_page("campaigns/<int:pk>/test/", name="campaign_test", permission="campaign:test")
def test_send(request: HttpRequest, pk: int) -> HttpResponse:
    """Send it to a few named people, as one subscriber would get it."""
    campaign = access_campaign(request, pk)
    organization = organization_of(request)
    recipients = request.POST.get("recipients", "\n".join(organization.test_recipients))
    refusal = ""
    if request.method == "POST":
        try:
            subscriber = preview_subscriber(organization, request.POST.get("as"))
            mailout = send_campaign_test(
                campaign=campaign,
                recipients=recipients.replace(",", "\n").splitlines(),
                subscriber=subscriber,
                actor=user_of(request),
            )
        except (DomainError, CompileError) as error:
            refusal = str(error)
        else:
            said = ngettext(
                "The test is on its way to %(n)s person.", "The test is on its way to %(n)s people.", mailout.eligible
            )
            messages.success(request, said % {"n": mailout.eligible})
            return redirect("admin:campaign_test", pk=pk)
    return render_page(
        request,
        "campaigns/test.html",
        title=campaign.name,
        status=422 if refusal else 200,
        campaign=campaign,
        recipients=recipients,
        refusal=refusal,
        last=last_test(campaign),
        **preview_context(request, campaign),
        is_fullwidth="1",
    )


@admin_page("campaigns/<int:pk>/dry-run/", name="campaign_dry_run_start", permission="campaign:test")
def start_dry_run(request: HttpRequest, pk: int) -> HttpResponse:
    """Explain the dry run and show the last ones; POST starts another."""
    campaign = access_campaign(request, pk)
    refusal = ""
    if request.method == "POST":
        try:
            mailout = run_dry(campaign=campaign, actor=user_of(request))
            return redirect("admin:campaign_dry_run", pk=pk, mailout_id=mailout.pk)
        except (DomainError, CompileError) as error:
            refusal = str(error)
    return render_page(
        request,
        "campaigns/dry_runs.html",
        title=campaign.name,
        status=422 if refusal else 200,
        campaign=campaign,
        refusal=refusal,
        runs=[(run, when_words(run.frozen_at)) for run in dry_runs(campaign)],
        is_fullwidth="1",
    )


@admin_page("campaigns/<int:pk>/dry-run/<int:mailout_id>/", name="campaign_dry_run", permission="campaign:view")
def dry_run(request: HttpRequest, pk: int, mailout_id: int) -> HttpResponse:
    """The result of a dry run: everybody simulated, or why not."""
    campaign = access_campaign(request, pk)
    mailout = _dry_mailout(request, mailout_id)

    def link(state: str) -> str:
        return f"{reverse('admin:mailout_messages', args=[mailout.pk])}?state={state}"

    progress = mailout_progress(mailout)
    exact = None if mailout.is_open else mailout_account(mailout)
    return render_page(
        request,
        "campaigns/dry_run.html",
        title=campaign.name,
        campaign=campaign,
        mailout=mailout,
        progress=progress,
        share=share_done(progress),
        account=final_account(exact, link, is_dry_run=True) if exact else live_account(progress, link, is_dry_run=True),
        total=exact.candidates if exact else progress.candidates,
        is_fullwidth="1",
    )


@admin_page(
    "campaigns/<int:pk>/dry-run/<int:mailout_id>/state/", name="campaign_dry_run_state", permission="campaign:view"
)
def dry_run_state(request: HttpRequest, pk: int, mailout_id: int) -> HttpResponse:
    """The numbers of a dry run as JSON."""
    access_campaign(request, pk)
    mailout = _dry_mailout(request, mailout_id)
    progress = mailout_progress(mailout)
    return JsonResponse(
        {
            "state_key": mailout.state,
            "headline": _("%(out)s of %(all)s are through.")
            % {"out": number(progress.simulated), "all": number(progress.candidates - progress.excluded)},
            "gone": progress.simulated,
            "sent": progress.sent,
            "simulated": progress.simulated,
            "waiting": progress.waiting,
            "failed": progress.failed,
            "unknown": progress.unknown,
            "excluded": progress.excluded,
            "share": share_done(progress),
            "total": progress.candidates,
        }
    )


def _dry_mailout(request: HttpRequest, mailout_id: int) -> Mailout:
    dry = Mailout.objects.filter(is_dry_run=True).select_related("account", "organization")
    return access(dry, organization=organization_of(request), pk=mailout_id)
