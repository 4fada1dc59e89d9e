from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from amazonsender.core.errors import NotFound
from amazonsender.core.throttle import throttled
from organizations.middleware import SESSION_KEY
from organizations.selectors.members import language_of
from organizations.services.invitations import accept_invitation, find_invitation


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@throttled("invitation", rate="20/m")
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Say who invites to what, and join when the button is pressed: mail scanners open every link they see."""
    try:
        if request.method != "POST":
            return render(request, "as/invitation.html", {"invitation": find_invitation(token=token)})
        member = accept_invitation(token=token)
    except NotFound as error:
        return render(request, "as/invitation.html", {"error": error}, status=404)
    login(request, member.user, backend=settings.AUTHENTICATION_BACKENDS[0])
    request.session[SESSION_KEY] = member.organization_id
    with translation.override(language_of(member.user, member.organization)):  # the next page's
        text = _("You are in the team of “%(organization)s”.") % {"organization": member.organization}
    messages.success(request, text)
    return redirect("admin:index" if member.user.has_usable_password() else "admin:password_change")
