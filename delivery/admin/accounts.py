"""Sending accounts: what the provider says, what we keep to, and why nothing leaves when nothing does."""

from __future__ import annotations

from typing import Final

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from amazonsender.core.errors import DomainError
from delivery.admin.account_forms import AccountForm, AmazonAccountForm, LimitForm, LocalAccountForm
from delivery.models import ParkReason, SendingAccount, SendingDomain
from delivery.providers.base import ProviderError
from delivery.providers.registry import provider_class
from delivery.providers.ses.names import SENDER
from delivery.selectors.mailouts import own_accounts, pace_of
from delivery.services.account_points import WAYS_ON, domain_summaries, points_of
from delivery.services.accounts import (
    add_sender,
    check_account,
    create_account,
    update_account,
)
from delivery.services.inspecting import is_fresh, is_stale, look_again
from delivery.services.local_accounts import set_up_local_account
from organizations.access import access
from organizations.admin.pages import admin_page, render_page
from organizations.requests import allowed, organization_of, user_of
from organizations.selectors.operators import is_operator
from organizations.services.audit import record

# What Amazon says of a sender's DKIM, in words.
DKIM_WORDS: Final = {
    "SUCCESS": gettext_lazy("signed with DKIM"),
    "PENDING": gettext_lazy("Amazon is looking for its DKIM records"),
    "FAILED": gettext_lazy("Amazon did not find its DKIM records"),
    "TEMPORARY_FAILURE": gettext_lazy("Amazon could not look for its DKIM records"),
    "NOT_STARTED": gettext_lazy("without DKIM"),
}


class SenderForm(forms.Form):
    identity = forms.RegexField(SENDER, max_length=320)


@admin_page(
    "account/", name="delivery_sendingaccount_changelist", permission="account:view", post_permission="account:edit"
)
def accounts(request: HttpRequest) -> HttpResponse:
    """The accounts of the organization; the only one opens at once. POST connects another."""
    organization = organization_of(request)
    form = AccountForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        account = create_account(
            organization=organization,
            actor=user_of(request),
            name=values["name"],
            region=values["region"],
            configuration_set=values["configuration_set"],
            topic_arns=[values["topic_arn"]] if values["topic_arn"] else [],
        )
        check_account(account=account)
        record(organization=organization, actor=user_of(request), action="account.created", target=account)
        return redirect("admin:sending_account", pk=account.pk)
    found = own_accounts(organization)
    if len(found) == 1 and request.method == "GET" and "all" not in request.GET:
        return redirect("admin:sending_account", pk=found[0].pk)
    return render_page(
        request,
        "delivery/accounts.html",
        title=_("Sending accounts"),
        status=422 if form.errors else 200,
        accounts=found,
        form=form,
        may_edit=allowed(request, "account:edit"),
        is_operator=is_operator(user_of(request)),
        may_set_up_local=bool(settings.LOCALSES_URL) and not any(account.is_local for account in found),
        is_fullwidth="1",
    )


@admin_page("account/local/", name="sending_account_local", permission="account:edit")
@require_POST
def set_up_local(request: HttpRequest) -> HttpResponse:
    """Make Local SES ready to send through. Again mends what a failure left half done, or what Local SES forgot."""
    organization = organization_of(request)
    was_there = any(account.is_local for account in own_accounts(organization))
    try:
        account = set_up_local_account(organization=organization)
    except (DomainError, ProviderError) as error:
        messages.error(request, _("Local SES did not answer as hoped: %(error)s") % {"error": error})
        return redirect("admin:delivery_sendingaccount_changelist")
    if not was_there:
        record(organization=organization, actor=user_of(request), action="account.created", target=account)
    messages.success(request, _("Local SES is ready: whatever you send stays on this machine."))
    return redirect("admin:sending_account", pk=account.pk)


@admin_page("account/<int:pk>/edit/", name="sending_account_edit", permission="account:edit")
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Change what was said when the account was connected, and our own limits."""
    account = _account(request, pk)
    if provider_class(account.provider).variants:
        return redirect("admin:sending_account_connection", pk=pk)
    is_connected_here = not account.is_local and is_operator(user_of(request))
    form = (AmazonAccountForm if is_connected_here else LocalAccountForm)(request.POST or None, instance=account)
    if request.method == "POST" and form.is_valid():
        changes = {name: form.cleaned_data[name] for name in form.changed_data}
        account.refresh_from_db()  # the form has already written on it
        update_account(account=account, actor=user_of(request), changes=changes)
        messages.success(request, _("Saved."))
        return redirect("admin:sending_account", pk=pk)
    return render_page(
        request,
        "delivery/account_edit.html",
        title=_("Account settings"),
        status=422 if form.errors else 200,
        account=account,
        form=form,
        is_connected_here=is_connected_here,
        public_url=settings.PUBLIC_URL,
        is_fullwidth="1",
    )


@admin_page("account/<int:pk>/", name="sending_account", permission="account:view")
def account_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One account: state, quota, limits, senders."""
    account = _account(request, pk)
    pace = pace_of(account)
    parked = ParkReason(pace.parked_reason) if pace and pace.parked_reason else None
    used = account.sent_last_24_hours
    identities = list(account.identities.order_by("-is_verified", "identity"))
    domains = list(SendingDomain.objects.filter(account=account).order_by("name"))
    points = points_of(account, identities, parked, domains)
    return render_page(
        request,
        "delivery/account.html",
        title=account.name,
        account=account,
        pace=pace,
        parked=parked,
        way_on=WAYS_ON.get(parked, "") if parked else "",
        used=used,
        is_unlimited=account.max_24_hour_send < 0,
        used_share=min(100, round(100 * used / account.max_24_hour_send, 1)) if account.max_24_hour_send > 0 else 0,
        allowed_rate=account.max_send_rate * pace.factor if pace else account.max_send_rate,
        is_slowed=pace is not None and pace.factor < 1,
        identities=[(sender, DKIM_WORDS.get(sender.dkim_status, "")) for sender in identities],
        points=points,
        to_mend=sum(point.tone != "ok" for point in points),
        domains=domain_summaries(account, domains),
        is_stale=allowed(request, "account:edit") and is_stale(account),
        is_fresh=is_fresh(account.inspected_at),
        may_set_up=account.provider == "ses" and allowed(request, "account:set_up"),
        may_edit=allowed(request, "account:edit"),
        may_add_sender=allowed(request, "account:edit") and (account.is_local or is_operator(user_of(request))),
        may_see_statistics=account.provider == "ses" and allowed(request, "account:statistics"),
        may_set_up_local=account.is_local and bool(settings.LOCALSES_URL),
        public_url=settings.PUBLIC_URL,
        is_fullwidth="1",
    )


@admin_page("account/<int:pk>/check/", name="sending_account_check", permission="account:edit")
@require_POST
def check(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask the provider and DNS now. A page that asks by itself gets no message about it."""
    account = _account(request, pk)
    is_asked = look_again(account=account)
    if "HX-Request" not in request.headers:
        if not is_asked:
            messages.info(request, _("It was checked a moment ago. Wait ten seconds."))
        elif account.check_error:
            messages.error(
                request, _("The provider did not answer as hoped: %(error)s") % {"error": account.check_error}
            )
        else:
            messages.success(request, _("Checked just now."))
    return redirect("admin:sending_account", pk=pk)


@admin_page("account/<int:pk>/limit/", name="sending_account_limit", permission="account:edit")
@require_POST
def limit(request: HttpRequest, pk: int) -> HttpResponse:
    """Set an own limit below the provider's; empty lifts it."""
    account = _account(request, pk)
    form = LimitForm(request.POST)
    if form.is_valid():
        update_account(account=account, actor=user_of(request), changes=form.cleaned_data)
    else:
        messages.error(request, _("Write a number of people per second, or nothing."))
    return redirect("admin:sending_account", pk=pk)


@admin_page("account/<int:pk>/sender/", name="sending_account_sender", permission="account:edit")
@require_POST
def sender(request: HttpRequest, pk: int) -> HttpResponse:
    """Remember a sender address or domain, and ask whether it is verified."""
    account = _account(request, pk)
    form = SenderForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Write an address or a domain."))
        return redirect("admin:sending_account", pk=pk)
    try:
        identity = add_sender(
            account=account,
            organization=organization_of(request),
            actor=user_of(request),
            identity=form.cleaned_data["identity"],
        )
    except (DomainError, ProviderError) as error:
        messages.error(request, str(error))
    else:
        said = _("“%(identity)s” is verified.") if identity.is_verified else _("“%(identity)s” is not verified yet.")
        messages.info(request, said % {"identity": identity.identity})
    return redirect("admin:sending_account", pk=pk)


def _account(request: HttpRequest, pk: int) -> SendingAccount:
    return access(SendingAccount.objects.select_related("organization"), organization=organization_of(request), pk=pk)
