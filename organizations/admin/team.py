from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from amazonsender.core.errors import Conflict, Forbidden, InvalidInput
from organizations.admin.pages import admin_page, render_page
from organizations.models import Member, Role, SystemEmail, SystemEmailState
from organizations.requests import allowed, member_of
from organizations.selectors.invitations import list_invitations
from organizations.selectors.members import list_members
from organizations.services.invitations import invite, invite_again, withdraw_invitation
from organizations.services.system_emails import has_way_out
from organizations.services.team import change_role, remove_member

REFUSALS = (Conflict, Forbidden, InvalidInput)


@admin_page("team/", name="team", permission="team:view", post_permission="team:edit")
@require_http_methods(["GET", "HEAD", "POST"])
def team(request: HttpRequest) -> HttpResponse:
    """Show who is in the organization and what each may do. POST invites somebody."""
    member = member_of(request)
    error, wanted = "", {"email": "", "role": str(Role.MARKETER)}
    if request.method == "POST":
        wanted = {name: request.POST.get(name, "") for name in wanted}
        try:
            invitation = invite(actor=member, email=wanted["email"], role=wanted["role"])
        except REFUSALS as refusal:
            error = str(refusal)
        else:
            messages.success(request, _("A letter to “%(address)s” is on its way.") % {"address": invitation.email})
            return redirect("admin:team")
    is_editable = allowed(request, "team:edit")
    return render_page(
        request,
        "organizations/team.html",
        title=_("Team"),
        status=400 if error else 200,
        invitations=[
            (each, letter_words(each.letter), is_editable and _may_invite_as(request, each.role))
            for each in (list_invitations(member.organization) if is_editable else [])
        ],
        is_editable=is_editable,
        has_way_out=has_way_out(),
        error=error,
        wanted=wanted,
        rows=[(each, _may_change(request, each)) for each in list_members(member.organization)],
        roles=Role.choices if allowed(request, "team:edit_owners") else [c for c in Role.choices if c[0] != Role.OWNER],
        me=member,
    )


@admin_page("team/invitations/<int:pk>/again/", name="invitation_again", permission="team:edit")
@require_POST
def invitation_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Send the letter once more, with a new link."""
    try:
        invitation = invite_again(actor=member_of(request), invitation_id=pk)
    except REFUSALS as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("A letter to “%(address)s” is on its way.") % {"address": invitation.email})
    return redirect("admin:team")


@admin_page("team/invitations/<int:pk>/withdraw/", name="invitation_withdraw", permission="team:edit")
@require_POST
def invitation_withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """Make the link open nothing."""
    invitation = withdraw_invitation(actor=member_of(request), invitation_id=pk)
    messages.success(request, _("The link to “%(address)s” opens nothing any more.") % {"address": invitation.email})
    return redirect("admin:team")


@admin_page("team/<int:pk>/role/", name="team_role", permission="team:edit")
@require_POST
def team_role(request: HttpRequest, pk: int) -> HttpResponse:
    """Give a member another role."""
    try:
        member = change_role(actor=member_of(request), member_id=pk, role=request.POST.get("role", ""))
    except REFUSALS as error:
        messages.error(request, str(error))
    else:
        text = _("%(name)s: %(role)s from now on.")
        messages.success(request, text % {"name": member.user, "role": member.get_role_display()})
    return redirect("admin:team")


@admin_page("team/<int:pk>/remove/", name="team_remove", permission="team:edit")
@require_POST
def team_remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a member out of the organization."""
    try:
        remove_member(actor=member_of(request), member_id=pk)
    except REFUSALS as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _("Not in the team any more."))
    return redirect("admin:team")


def letter_words(letter: SystemEmail | None) -> tuple[str, str]:
    """Tone and sentence about the letter of an invitation: "" for what is as it should be."""
    if letter is None or letter.state == SystemEmailState.SENT:
        return "", ""
    if letter.state == SystemEmailState.UNKNOWN:
        return "warn", _("The letter may have arrived, or not: its answer was lost. Send it again if it is missing.")
    if letter.state == SystemEmailState.FAILED:
        return "stop", _("The letter was not sent: %(reason)s") % {"reason": letter.last_error}
    if letter.last_error:
        return "warn", _("The letter waits for another try: %(reason)s") % {"reason": letter.last_error}
    return "", _("The letter is on its way.")


def _may_invite_as(request: HttpRequest, role: str) -> bool:
    return role != Role.OWNER or allowed(request, "team:edit_owners")


def _may_change(request: HttpRequest, member: Member) -> bool:
    return allowed(request, "team:edit") and (member.role != Role.OWNER or allowed(request, "team:edit_owners"))
