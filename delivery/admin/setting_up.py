"""“Set it up for me”: what would be done at Amazon, and doing it."""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from amazonsender.core.errors import InvalidInput
from delivery.models import SendingAccount
from delivery.providers.base import ProviderError
from delivery.services.setting_up import ACHIEVED, StepReport, plan_set_up, set_up_account
from organizations.access import access
from organizations.admin.pages import admin_page, render_page
from organizations.requests import organization_of, user_of
from organizations.selectors.operators import is_operator

# Word and pill of each state of a step.
STATES: Final = {
    "there": (gettext_lazy("Already there"), "off"),
    "create": (gettext_lazy("Will be created"), "scheduled"),
    "change": (gettext_lazy("Will be changed"), "scheduled"),
    "unknown": (gettext_lazy("Not known"), "advisory"),
    "blocked": (gettext_lazy("Can’t be done"), "blocking"),
    "done": (gettext_lazy("Done"), "passed"),
    "refused": (gettext_lazy("Refused"), "blocking"),
    "failed": (gettext_lazy("Failed"), "blocking"),
    "skipped": (gettext_lazy("Not tried"), "advisory"),
}


@admin_page("account/<int:pk>/set-up/", name="sending_account_set_up", permission="account:set_up")
@require_http_methods(["GET", "HEAD", "POST"])
def set_up(request: HttpRequest, pk: int) -> HttpResponse:
    """GET shows the plan and changes nothing; POST carries it out and says what became of each step."""
    organization, user = organization_of(request), user_of(request)
    accounts = SendingAccount.objects.select_related("organization")
    account = access(accounts, organization=organization, pk=pk)
    is_allowed = account.is_local or is_operator(user)
    given = request.POST if request.method == "POST" else request.GET
    with_domains = bool(given.get("domains"))
    reports: list[StepReport] = []
    trouble = ""
    if is_allowed:
        act = set_up_account if request.method == "POST" else plan_set_up
        try:
            reports = act(account=account, organization=organization, actor=user, with_domains=with_domains)
        except (InvalidInput, ProviderError) as error:
            trouble = str(error)
    return render_page(
        request,
        "delivery/account_set_up.html",
        title=_("Set it up for me"),
        account=account,
        is_allowed=is_allowed,
        trouble=trouble,
        with_domains=with_domains,
        is_done=request.method == "POST" and not trouble,
        is_subscribed_now=any(report.key == "subscription" and report.state == "done" for report in reports),
        steps=[(report, *STATES[report.state]) for report in reports],
        changes=sum(report.state in ("create", "change", "unknown", "done") for report in reports),
        unachieved=sum(report.state not in ACHIEVED for report in reports),
        is_fullwidth="1",
    )
