"""A sending campaign, live; and the same page afterwards: the exact account and what came back."""

from __future__ import annotations

import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from amazonsender.core.errors import NotFound
from campaigns.admin.editing import access_campaign
from campaigns.admin.figures import final_account, live_account
from campaigns.admin.wording import duration_words, number, pace_parts, pace_words, when_words
from campaigns.models import Campaign, CampaignState
from campaigns.selectors.results import error_groups, link_results, results_of
from campaigns.selectors.states import state_of
from campaigns.selectors.timing import allowed_rate
from delivery.models import BRAKES, Mailout, ParkReason, StateReason
from delivery.selectors.progress import Progress, mailout_account, mailout_progress
from delivery.selectors.unanswered import times_sent_again
from organizations.admin.pages import admin_page, render_page
from organizations.requests import allowed

KNOWN_SHARE = 0.8  # of the sent, above which the news is taken as complete


@admin_page("campaigns/<int:pk>/live/", name="campaign_live", permission="campaign:view")
def live(request: HttpRequest, pk: int) -> HttpResponse:
    """What is going out, or what became of it."""
    campaign, mailout = access_launched(request, pk)
    if mailout.is_open:
        return _render_live(request, campaign, mailout)
    return _render_report(request, campaign, mailout)


@admin_page("campaigns/<int:pk>/live/state/", name="campaign_live_state", permission="campaign:view")
def live_state(request: HttpRequest, pk: int) -> HttpResponse:
    """The numbers of the live page as JSON, asked for every second."""
    campaign, mailout = access_launched(request, pk)
    response = JsonResponse(live_numbers(campaign, mailout, mailout_progress(mailout)))
    response["Cache-Control"] = "no-store"
    return response


def live_numbers(campaign: Campaign, mailout: Mailout, progress: Progress) -> dict[str, Any]:
    """Numbers and sentences of the live page."""
    results = results_of(mailout)
    out = progress.sent + progress.simulated
    return {
        "state": str(state_of(campaign)),
        "state_key": f"{mailout.state}:{mailout.state_reason}:{progress.parked_reason}",
        "headline": headline(progress),
        "lead": lead(mailout, progress),
        "gone": out,
        "sent": progress.sent,
        "simulated": progress.simulated,
        "waiting": progress.waiting,
        "failed": progress.failed,
        "unknown": progress.unknown,
        "excluded": progress.excluded,
        "cancelled": progress.cancelled,
        "rate": round(progress.rate),
        "share": share_done(progress),
        "total": progress.candidates,
        "delivered": results.delivered,
        "opened": results.opened,
        "clicked": results.clicked,
        "unsubscribed": results.unsubscribed,
    }


def headline(progress: Progress) -> str:
    """The big sentence."""
    going = progress.candidates - progress.excluded
    out = progress.sent + progress.simulated
    return _("%(out)s of %(all)s are out.") % {"out": number(out), "all": number(going)}


def lead(mailout: Mailout, progress: Progress) -> str:
    """The sentence below: how long still, or what it waits for."""
    if mailout.state == "paused":
        return ""
    if progress.parked_reason:
        return parked_words(progress)
    if mailout.state_reason == StateReason.PILOT and mailout.state == "sending":
        return _("Many here were never mailed before, so a first part goes ahead and the rest waits for its bounces.")
    if mailout.state == "cancelling":
        return _("Stopping: what is already with the provider is being settled.")
    if not progress.waiting:
        return _("Everybody was tried; the last answers are coming in.")
    seconds = seconds_left(mailout, progress)
    soon = _("About %(time)s left.") % {"time": duration_words(seconds)} if seconds else ""
    if progress.not_due and progress.next_due_at:
        return f"{soon} {_later_words(progress.not_due, progress.next_due_at)}".strip()
    return soon or _("Starting.")


def _later_words(people: int, next_at: datetime.datetime) -> str:
    return ngettext(
        "%(n)s person gets it by their own clock: %(when)s.",
        "%(n)s people get it by their own clocks, the next of them %(when)s.",
        people,
    ) % {"n": number(people), "when": when_words(next_at)}


def seconds_left(mailout: Mailout, progress: Progress) -> float:
    """How long still until those who are due have it, never less than the mailout's own pace takes; 0 when nobody can say yet.

    A pace of some people an hour leaves the last seconds empty, which is no sign of a standstill.
    """
    paced = (progress.waiting - progress.not_due) / mailout.rate_limit if mailout.rate_limit else 0.0
    return max(progress.seconds_left or 0.0, paced)


def parked_words(progress: Progress) -> str:
    """Why the account sends nothing, and when it goes on by itself."""
    reason = ParkReason(progress.parked_reason).label
    if progress.parked_until:
        return _("%(reason)s. Goes on by itself %(when)s with %(n)s.") % {
            "reason": reason,
            "when": when_words(progress.parked_until),
            "n": number(progress.waiting),
        }
    return _("%(reason)s. It goes on when that is mended.") % {"reason": reason}


def share_done(progress: Progress) -> float:
    """Percent of those who were to get it that are settled."""
    going = progress.candidates - progress.excluded
    return round(100 * (going - progress.waiting) / going, 1) if going else 100.0


def access_launched(request: HttpRequest, pk: int) -> tuple[Campaign, Mailout]:
    """The organization's campaign with its mailout. Raises NotFound, also for one that was never sent."""
    campaign = access_campaign(request, pk)
    if campaign.mailout is None:
        raise NotFound(_("This campaign has not been sent."))
    return campaign, campaign.mailout


def _messages_link(mailout: Mailout) -> Any:
    page = reverse("admin:mailout_messages", args=[mailout.pk])
    return lambda state: f"{page}?state={state}"


def _common(request: HttpRequest, campaign: Campaign) -> dict[str, Any]:
    state = state_of(campaign)
    return {
        "campaign": campaign,
        "state": state,
        "state_label": CampaignState(state).label,
        "may_send": allowed(request, "campaign:send"),
        "may_edit": allowed(request, "campaign:edit"),
        "may_export": allowed(request, "message:export"),
        "is_fullwidth": "1",
    }


def _render_live(request: HttpRequest, campaign: Campaign, mailout: Mailout) -> HttpResponse:
    progress = mailout_progress(mailout)
    account_limit = allowed_rate(mailout.account) if mailout.account else None
    return render_page(
        request,
        "campaigns/live.html",
        title=campaign.name,
        mailout=mailout,
        progress=progress,
        numbers=live_numbers(campaign, mailout, progress),
        account=live_account(progress, _messages_link(mailout)),
        pace_words=pace_words(mailout.rate_limit) if mailout.rate_limit else "",
        pace_parts=pace_parts(mailout.rate_limit or account_limit or 1),
        account_pace=pace_words(account_limit) if account_limit else "",
        is_paused=mailout.state == "paused",
        is_stopping=mailout.state == "cancelling",
        reason=StateReason(mailout.state_reason).label if mailout.state_reason else "",
        is_brake=mailout.state == "paused" and mailout.state_reason in BRAKES,
        is_for_sender=mailout.state == "paused" and mailout.state_reason == StateReason.SENDER,
        sender=mailout.sender,
        lifted=", ".join(str(StateReason(brake).label).lower() for brake in mailout.lifted_brakes),
        started=when_words(mailout.frozen_at),
        bounce_rate=_percent(results_of(mailout).bounced, progress.sent),
        complaint_rate=_percent(results_of(mailout).complained, progress.sent),
        **_common(request, campaign),
    )


def _render_report(request: HttpRequest, campaign: Campaign, mailout: Mailout) -> HttpResponse:
    account, results = mailout_account(mailout), results_of(mailout)
    sent = account.states["sent"]
    again = times_sent_again(mailout)
    took = mailout.finished_at - mailout.frozen_at if mailout.finished_at and not again else None
    return render_page(
        request,
        "campaigns/report.html",
        title=campaign.name,
        mailout=mailout,
        exact=account,
        total=account.candidates,
        account=final_account(account, _messages_link(mailout)),
        fate=_fate(sent, results),
        sent=sent,
        stopped_before=account.states["cancelled"],
        results=results,
        rates={
            "delivered": _percent(results.delivered, sent),
            "opened": _percent(results.opened, results.delivered),
            "clicked": _percent(results.clicked, results.delivered),
            "unsubscribed": _percent(results.unsubscribed, results.delivered),
            "complained": _percent(results.complained, results.delivered),
        },
        links=link_results(mailout),
        errors=error_groups(mailout),
        when=when_words(mailout.frozen_at),
        took=duration_words(took.total_seconds()) if took else "",
        times_sent_again=again,
        lists=", ".join(campaign.lists.order_by("name").values_list("name", flat=True)),
        is_early=mailout.finished_at is not None and (timezone.now() - mailout.finished_at).total_seconds() < 3600,
        sentence=report_sentence(sent, results.delivered, results.opened),
        **_common(request, campaign),
    )


def report_sentence(sent: int, delivered: int, opened: int) -> str:
    """43,455 people got it, 16,730 of them opened it."""
    if not sent:
        return _("Nobody got it.")
    if not delivered:
        return ngettext("It was sent to %(n)s person.", "It was sent to %(n)s people.", sent) % {"n": number(sent)}
    if delivered < sent * KNOWN_SHARE:
        # The news of most is still on its way: what came back so far must not read as all there is.
        said = ngettext(
            "It was sent to %(n)s person; %(got)s got it as far as we know.",
            "It was sent to %(n)s people; %(got)s got it as far as we know.",
            sent,
        )
        return said % {"n": number(sent), "got": number(delivered)}
    return ngettext(
        "%(got)s person got it, %(opened)s of them opened it.",
        "%(got)s people got it, %(opened)s of them opened it.",
        delivered,
    ) % {"got": number(delivered), "opened": number(opened)}


def _fate(sent: int, results: Any) -> list[dict[str, Any]] | None:
    """What became of the sent; None where events say more than was sent (an answer that got lost came as an event)."""
    news = sent - results.delivered - results.bounced
    if news < 0:
        return None
    return [
        {"key": "delivered", "label": _("Delivered"), "value": results.delivered},
        {
            "key": "hard",
            "label": _("Bounced for good"),
            "value": results.bounced,
            "note": _("no such mailbox; never mailed again"),
        },
        {"key": "waiting", "label": _("No news yet"), "value": news},
    ]


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0
