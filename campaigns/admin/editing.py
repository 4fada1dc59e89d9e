"""What the six steps of a campaign share: fetching, saving, the step bar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from django.contrib import messages
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from amazonsender.core.errors import Conflict, InvalidInput
from campaigns.admin.forms import WHEN_INPUTS
from campaigns.admin.wording import kilobytes, number, planned_words
from campaigns.models import Campaign, CampaignState
from campaigns.selectors.states import state_of
from campaigns.services.compose import save_campaign
from campaigns.services.field_values import Changes
from campaigns.services.reviewing import Review, review_campaign
from campaigns.templatetags.campaign_words import readable
from organizations.access import access
from organizations.admin.pages import render_page
from organizations.requests import allowed, organization_of, user_of

STEPS = ("content", "audience", "sender", "checks", "when", "review")
REVIEW_SECONDS = 30  # how long other steps show the last look instead of counting a million people again


@dataclass(frozen=True)
class Saved:
    """What a step read from the browser: the changes, and notes to show."""

    changes: Changes
    notes: tuple[str, ...] = ()


Reader = Callable[[QueryDict], Saved]


def access_campaign(request: HttpRequest, pk: int) -> Campaign:
    """The campaign, if it is the organization's. Raises NotFound."""
    return access(
        Campaign.objects.select_related("organization", "template", "account", "mailout", "updated_by"),
        organization=organization_of(request),
        pk=pk,
    )


def edit_step(
    request: HttpRequest, pk: int, *, step: str, read: Reader, context: Callable[[Campaign], dict[str, Any]]
) -> HttpResponse:
    """Show one step, or save what was posted. Script saves by itself and gets JSON; without it a form goes on."""
    campaign = access_campaign(request, pk)
    if campaign.mailout_id:
        return redirect("admin:campaign_live", pk=pk)
    if request.method != "POST":
        return render_step(request, campaign, step, **context(campaign))
    by_script = request.headers.get("X-Requested-With") == "fetch"
    try:
        saved = read(request.POST)
        revision = _revision(request)
        campaign = save_campaign(
            campaign=campaign, changes=_only_changed(request, saved.changes), revision=revision, actor=user_of(request)
        )
    except (Conflict, InvalidInput) as error:
        status = 409 if isinstance(error, Conflict) else 422
        if by_script:
            current = Campaign.objects.only("revision").get(pk=pk).revision
            return JsonResponse({"message": str(error), "revision": current}, status=status)
        refused = {"refusal": str(error), **context(campaign)}
        return render_step(request, campaign, step, status=status, **refused)
    if by_script:
        return JsonResponse({"revision": campaign.revision, "saved": saved_words(campaign), "notes": list(saved.notes)})
    for note in saved.notes:
        messages.info(request, note)
    following = STEPS[min(STEPS.index(step) + 1, len(STEPS) - 1)]
    return redirect(f"admin:campaign_{following if 'next' in request.POST else step}", pk=pk)


def render_step(
    request: HttpRequest, campaign: Campaign, step: str, *, status: int = 200, **context: Any
) -> HttpResponse:
    """One page of the form, with the step bar."""
    look = context.pop("look", None) or remembered_look(campaign)
    state = state_of(campaign)
    following = STEPS[min(STEPS.index(step) + 1, len(STEPS) - 1)]
    steps = step_bar(campaign, look)
    return render_page(
        request,
        f"campaigns/editor/{step}.html",
        title=campaign.name,
        status=status,
        campaign=campaign,
        step=step,
        steps=steps,
        next_step=following,
        next_url=f"admin:campaign_{following}",
        next_label=next(entry["title"] for entry in steps if entry["slug"] == following),
        state=state,
        state_label=CampaignState(state).label,
        saved_words=saved_words(campaign),
        can_undo=campaign.is_editable and campaign.revisions.exists(),
        may_edit=allowed(request, "campaign:edit"),
        may_send=allowed(request, "campaign:send"),
        may_test=allowed(request, "campaign:test"),
        is_open=allowed(request, "campaign:edit") and campaign.is_editable,
        look=look,
        is_fullwidth="1",
        **context,
    )


def saved_words(campaign: Campaign) -> str:
    """When it was saved last."""
    return _("Saved %(time)s") % {"time": timezone.localtime(campaign.updated_at).strftime("%H:%M")}


# ---- the step bar -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Look:
    """The figures of a review that the step bar shows."""

    people: int
    size: int
    content_problems: int
    stops: int
    notes: int


def fresh_look(campaign: Campaign, review: Review) -> Look:
    """Remember the figures of a review for the other steps."""
    compilation = review.content.compilation
    look = Look(
        people=review.count.eligible,
        size=compilation.html_bytes if compilation else 0,
        content_problems=len(review.content.blocking),
        stops=review.blocking_count,
        notes=len(review.content.notes),
    )
    cache.set(_look_key(campaign), look, REVIEW_SECONDS)
    return look


def remembered_look(campaign: Campaign) -> Look:
    """The figures of this revision, counted again when the last look is too old."""
    found = cache.get(_look_key(campaign))
    return found if isinstance(found, Look) else fresh_look(campaign, review_campaign(campaign))


def _look_key(campaign: Campaign) -> str:
    return f"campaign-look:{campaign.pk}:{campaign.revision}"


def step_bar(campaign: Campaign, look: Look) -> list[dict[str, str]]:
    """What each step says about itself, in one line; state: done, stop, todo."""
    has_body, has_subject = bool(campaign.body.strip()), bool(campaign.subject.strip())
    content = "stop" if look.content_problems else "done" if has_body else "todo"
    return [
        _entry("content", _("Content"), _content_summary(campaign, look, has_body), content),
        _entry("audience", _("Audience"), _people_summary(look), "done" if look.people else "todo"),
        _entry(
            "sender",
            _("Sender & subject"),
            readable(campaign.subject) if has_subject else _("No subject yet"),
            "done" if has_subject and campaign.sender_email else "todo",
            short=_("Sender"),
        ),
        _entry("checks", _("Checks"), _checks_summary(look), "stop" if look.stops else "done"),
        _entry("when", _("When"), _when_summary(campaign), "done"),
        _entry(
            "review",
            _("Review"),
            _("Confirm and schedule") if campaign.scheduled_at else _("Confirm and send"),
            "done" if campaign.state == CampaignState.SCHEDULED else "todo",
        ),
    ]


def _entry(slug: str, title: str, summary: str, state: str, short: str = "") -> dict[str, str]:
    return {
        "slug": slug,
        "url": f"admin:campaign_{slug}",
        "title": title,
        "short": short,
        "summary": summary,
        "state": state,
    }


def _content_summary(campaign: Campaign, look: Look, has_body: bool) -> str:
    if not has_body:
        return _("Nothing yet")
    if look.content_problems:
        said = ngettext("%(n)s problem", "%(n)s problems", look.content_problems) % {"n": look.content_problems}
    else:
        said = kilobytes(look.size)
    return f"{campaign.get_format_display()}, {said}"


def _people_summary(look: Look) -> str:
    if not look.people:
        return _("Nobody yet")
    return ngettext("%(n)s person", "%(n)s people", look.people) % {"n": number(look.people)}


def _checks_summary(look: Look) -> str:
    notes = ngettext("%(n)s note", "%(n)s notes", look.notes) % {"n": look.notes} if look.notes else ""
    if look.stops:
        stops = ngettext("%(n)s stops it", "%(n)s stop it", look.stops) % {"n": look.stops}
        return f"{stops}, {notes}" if notes else stops
    return notes or _("Nothing stops it")


def _when_summary(campaign: Campaign) -> str:
    return planned_words(campaign) or _("Right after you confirm")


def _revision(request: HttpRequest) -> int:
    try:
        return int(request.POST.get("revision", ""))
    except ValueError:
        raise InvalidInput(_("This page is incomplete. Load it again.")) from None


def _only_changed(request: HttpRequest, changes: Changes) -> Changes:
    """Script names the fields that were touched, so that others' saves of other fields are merged."""
    names = request.POST.getlist("changed")
    if not names:
        return changes
    touched = {field for name in names for field in WHEN_INPUTS.get(name, (name,))}
    return cast(Changes, {name: value for name, value in changes.items() if name in touched})
