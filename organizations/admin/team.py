from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from amazonsender.core.errors import Conflict, Forbidden, InvalidInput
from organizations.admin.pages import admin_page, render_page
from organizations.models import Member, Role
from organizations.requests import allowed, member_of
from organizations.selectors.members import list_members
from organizations.services.team import change_role, remove_member

REFUSALS = (Conflict, Forbidden, InvalidInput)


@admin_page("team/", name="team", permission="team:view")
@require_http_methods(["GET", "HEAD"])
def team(request: HttpRequest) -> HttpResponse:
    """Show who is in the organization and what each may do."""
    member = member_of(request)
    return render_page(
        request,
        "organizations/team.html",
        title=_("Team"),
        rows=[(each, _may_change(request, each)) for each in list_members(member.organization)],
        roles=Role.choices if allowed(request, "team:edit_owners") else [c for c in Role.choices if c[0] != Role.OWNER],
        me=member,
    )


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


def _may_change(request: HttpRequest, member: Member) -> bool:
    return allowed(request, "team:edit") and (member.role != Role.OWNER or allowed(request, "team:edit_owners"))
