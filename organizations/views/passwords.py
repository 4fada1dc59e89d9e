"""Forgotten passwords: asking for a letter, and the page that its link opens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms
from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.forms import SetPasswordForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from amazonsender.core.errors import NotFound
from amazonsender.core.throttle import throttled
from organizations.forms import PageFormMixin
from organizations.models import User
from organizations.services.passwords import find_by_reset_link, request_way_in, reset_password
from organizations.services.system_emails import has_way_out

if TYPE_CHECKING:
    UsersPasswordForm = SetPasswordForm[User]
else:
    UsersPasswordForm = SetPasswordForm  # generic for the type checker only


class AddressForm(PageFormMixin, forms.Form):
    """Whose password is gone."""

    email = forms.EmailField(
        label=_("Email address"), max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "username"})
    )


class NewPasswordForm(PageFormMixin, UsersPasswordForm):
    """Django's form in the shell's look; saving is the service's."""


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@throttled("password", rate="20/m")
def password_forgotten(request: HttpRequest) -> HttpResponse:
    """Ask for a letter. The answer is the same for every address."""
    form = AddressForm(request.POST or None)
    is_asked = request.method == "POST" and form.is_valid() and has_way_out()
    if is_asked:
        way = "sign_in" if request.POST.get("way") == "sign_in" else "password"
        request_way_in(email=form.cleaned_data["email"], way=way)  # type: ignore[arg-type]  # one of the two
    context = {
        "form": form,
        "is_asked": is_asked,
        "has_way_out": has_way_out(),
        "email": form.cleaned_data["email"] if is_asked else "",
    }
    return render(request, "as/password_forgotten.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@throttled("password", rate="20/m")
def password_new(request: HttpRequest, uid: str, token: str) -> HttpResponse:
    """Set a new password by the link of a letter, and come in. Looking at the page changes nothing."""
    try:
        form = NewPasswordForm(find_by_reset_link(uid=uid, token=token), request.POST or None)
        if request.method == "POST" and form.is_valid():
            user = reset_password(uid=uid, token=token, password=form.cleaned_data["new_password1"])
            login(request, user, backend=settings.AUTHENTICATION_BACKENDS[0])
            return redirect("admin:password_change_done")
    except NotFound as error:
        return render(request, "as/password_new.html", {"error": error}, status=404)
    return render(request, "as/password_new.html", {"form": form}, status=422 if form.errors else 200)
