"""What a person does to a campaign that is going out: pause, go on, stop, change the pace."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from amazonsender.core.errors import DomainError, NotFound
from campaigns.admin.forms import read_pace
from campaigns.admin.live import access_launched
from campaigns.admin.wording import pace_words
from campaigns.services.controlling import ACTS, control_campaign
from delivery.services.controlling import set_pace
from organizations.admin.pages import admin_page
from organizations.requests import user_of
from organizations.services.audit import record


@admin_page("campaigns/<int:pk>/control/", name="campaign_control", permission="campaign:send")
@require_POST
def control(request: HttpRequest, pk: int) -> HttpResponse:
    """Pause, go on, or stop for good."""
    campaign, _mailout = access_launched(request, pk)
    name = request.POST.get("act", "")
    if name not in ACTS:
        raise NotFound(_("There is no such button."))
    try:
        control_campaign(campaign=campaign, act=name, actor=user_of(request))
    except DomainError as error:
        messages.error(request, str(error))
    return redirect("admin:campaign_live", pk=pk)


@admin_page("campaigns/<int:pk>/pace/", name="campaign_pace", permission="campaign:send")
@require_POST
def pace(request: HttpRequest, pk: int) -> HttpResponse:
    """Send slower, or as fast as the account allows; it holds at once, also for what waits."""
    campaign, mailout = access_launched(request, pk)
    try:
        rate = read_pace(request.POST)
        with transaction.atomic():
            set_pace(mailout=mailout, rate_limit=rate, actor=user_of(request))
            record(
                organization=campaign.organization,
                actor=user_of(request),
                action="campaign.paced",
                target=campaign,
                mailout_id=mailout.pk,
                people_per_second=rate,
            )
    except DomainError as error:
        messages.error(request, str(error))
    else:
        at_most = _("From now on at most %(pace)s.")
        full = _("From now on as fast as the account allows.")
        messages.success(request, at_most % {"pace": pace_words(rate)} if rate else full)
    return redirect("admin:campaign_live", pk=pk)
