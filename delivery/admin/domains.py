"""One sending domain: its DNS records to copy, what was found, and how to mend what differs."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from delivery.models import SendingAccount
from delivery.services.domain_records import report_of
from delivery.services.domains import find_domain, is_due, may_look_up
from delivery.services.inspecting import is_fresh, look_at_domain
from organizations.access import access
from organizations.admin.pages import admin_page, render_page
from organizations.requests import allowed, organization_of


@admin_page("account/<int:pk>/domains/<str:name>/", name="sending_domain", permission="account:view")
@require_safe
def domain_page(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    """What was found last; nothing is asked by looking."""
    account = _account(request, pk)
    domain = find_domain(account=account, name=name)
    return render_page(
        request,
        "delivery/domain.html",
        title=domain.name,
        account=account,
        domain=domain,
        report=report_of(domain, account),
        is_fresh=is_fresh(domain.checked_at),
        is_looked_up=may_look_up(account, domain.name),
        may_edit=allowed(request, "account:edit"),
        may_set_up=allowed(request, "account:set_up"),
        is_fullwidth="1",
    )


@admin_page("account/<int:pk>/domains/<str:name>/check/", name="sending_domain_check", permission="account:edit")
@require_POST
def check(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    """Ask Amazon and DNS about this domain now."""
    account = _account(request, pk)
    domain = find_domain(account=account, name=name)
    if is_due(domain):
        look_at_domain(account=account, name=domain.name)
        messages.success(request, _("Checked just now."))
    else:
        messages.info(request, _("It was checked a moment ago. Wait ten seconds."))
    return redirect("admin:sending_domain", pk=pk, name=domain.name)


def _account(request: HttpRequest, pk: int) -> SendingAccount:
    accounts = SendingAccount.objects.filter(provider="ses").select_related("organization")
    return access(accounts, organization=organization_of(request), pk=pk)
