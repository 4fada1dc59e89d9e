"""Amazon's own count of an account, for its owner."""

from __future__ import annotations

import json

from django.http import HttpRequest, HttpResponse
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from amazonsender.core.errors import NotFound
from delivery.models import SendingAccount
from delivery.services.statistics import Statistics, account_statistics, may_see_statistics
from organizations.access import access
from organizations.admin.pages import admin_page, render_page
from organizations.requests import organization_of, user_of


@admin_page("account/<int:pk>/statistics/", name="sending_account_statistics", permission="account:statistics")
@require_safe
def statistics(request: HttpRequest, pk: int) -> HttpResponse:
    """Attempts, bounces, complaints and rejects of the last 14 days, and the quota."""
    accounts = SendingAccount.objects.select_related("organization")
    account = access(accounts, organization=organization_of(request), pk=pk)
    if account.provider != "ses":
        raise NotFound(_("Only Amazon SES tells such figures."))
    is_shown = may_see_statistics(account, user_of(request))
    found = account_statistics(account) if is_shown else None
    return render_page(
        request,
        "delivery/statistics.html",
        title=_("Figures of the last 14 days"),
        who="Local SES" if account.is_local else "Amazon",
        account=account,
        statistics=found,
        is_shown=is_shown,
        bounce_rate=_rate(found.total.bounces, found.total.attempts) if found else 0,
        complaint_rate=_rate(found.total.complaints, found.total.attempts) if found else 0,
        is_unlimited=found is not None and found.max_24_hour_send < 0,
        used_share=_rate(found.sent_last_24_hours, found.max_24_hour_send) if found else 0,
        attempts_chart=_chart(found, {"attempts": (_("Attempts"), "--ink")}),
        troubles_chart=_chart(
            found,
            {
                "bounces": (_("Bounces"), "--warn"),
                "complaints": (_("Complaints"), "--stop"),
                "rejects": (_("Rejects"), "--machine"),
            },
        ),
        is_fullwidth="1",
    )


def _rate(part: float, whole: float) -> float:
    """Percent, at most 100; 0 of nothing."""
    return min(100.0, round(100 * part / whole, 2)) if whole > 0 else 0


def _chart(found: Statistics | None, series: dict[str, tuple[str, str]]) -> str:
    days = found.days if found else ()
    return json.dumps(
        {
            "labels": [date_format(date, _("j M")) for date, _figures in days],
            "series": [
                {"label": label, "colour": colour, "values": [getattr(figures, name) for _date, figures in days]}
                for name, (label, colour) in series.items()
            ],
        }
    )
