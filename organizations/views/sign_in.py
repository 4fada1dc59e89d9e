from __future__ import annotations

from django.conf import settings
from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from amazonsender.core.errors import NotFound
from amazonsender.core.throttle import throttled
from organizations.services.sign_in import use_sign_in_link


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@throttled("sign_in_link", rate="20/m")
def sign_in_link(request: HttpRequest, token: str) -> HttpResponse:
    """Show a button, and sign in when it is pressed.

    A GET must not burn the link: mail scanners and chat previews open every address they see. So it doesn't look the
    link up either, and answers the same for any token.
    """
    if request.method != "POST":
        return render(request, "as/sign_in.html", {"title": settings.UNFOLD["SITE_TITLE"]})
    try:
        user = use_sign_in_link(token=token)
    except NotFound as error:
        return render(request, "as/sign_in.html", {"title": settings.UNFOLD["SITE_TITLE"], "error": error}, status=404)
    login(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])
    return redirect("admin:index")
