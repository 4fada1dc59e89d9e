"""Which organization and which language the next page is in. Both are POSTs, so no link can change them."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from amazonsender.core.errors import InvalidInput
from organizations.access import access_member
from organizations.admin.pages import admin_page
from organizations.middleware import SESSION_KEY
from organizations.requests import user_of
from organizations.services.team import set_language


@admin_page("switch/", name="switch_organization", permission="organization:view")
@require_POST
def switch_organization(request: HttpRequest) -> HttpResponse:
    """Work in another organization of the user from here on."""
    member = access_member(user=user_of(request), organization_id=request.POST.get("organization"))
    request.session[SESSION_KEY] = member.organization_id
    return redirect("admin:index")


@admin_page("language/", name="switch_language", permission="organization:view")
@require_POST
def switch_language(request: HttpRequest) -> HttpResponse:
    """Show the admin in another language, to this user only, and go back."""
    language = request.POST.get("language", "")
    try:
        set_language(user=user_of(request), language=language)
    except InvalidInput:
        return redirect("admin:index")
    target = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    response = redirect(target if is_ours else "admin:index")
    # The sign-in page is in the same language after the session has ended.
    response.set_cookie(settings.LANGUAGE_COOKIE_NAME, language, max_age=31_536_000, samesite="Lax", httponly=True)
    return response
