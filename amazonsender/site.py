"""The admin site: members of an organization come in, whatever Django's own flags say."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import messages
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.views import PasswordChangeView
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.forms import AuthenticationForm
from unfold.sites import UnfoldAdminSite

from amazonsender import sidebar  # noqa: F401 - registers what it shows
from amazonsender.core.throttle import seconds_to_wait, too_many_requests
from amazonsender.navigation import jump_results
from organizations.admin.base import OrganizationAdmin
from organizations.admin.pages import PAGES, current_home, render_page
from organizations.forms import PageFormMixin
from organizations.models import Member, User
from organizations.services.passwords import change_password


class MemberAuthenticationForm(AuthenticationForm):  # type: ignore[misc]  # Unfold is untyped
    """Lets in whoever belongs to an organization; Django's form would ask for its staff flag."""

    def confirm_login_allowed(self, user: User) -> None:
        if not Member.objects.filter(user=user).exists():
            raise forms.ValidationError(
                _("You belong to no organization any more. An owner can let you in again."), code="no_organization"
            )


class OwnPasswordForm(PageFormMixin, PasswordChangeForm):
    """Asks for the old password only where there is one."""

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(user, *args, **kwargs)
        if not user.has_usable_password():
            del self.fields["old_password"]

    def save(self, commit: bool = True) -> User:
        """Set it as the service does, with what follows. Always saved."""
        change_password(user=self.user, password=self.cleaned_data["new_password1"])
        return self.user


class AmazonSenderSite(UnfoldAdminSite):  # type: ignore[misc]  # Unfold is untyped
    """Unfold's site with our door, our pages and a search that stays inside one organization."""

    login_form = MemberAuthenticationForm
    enable_nav_sidebar = True
    site_url = None

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Take only admins that know organizations.

        Those of other packages (groups, periodic tasks) would show every organization's rows, or run any task.
        """
        if admin_class is not None and issubclass(admin_class, OrganizationAdmin):
            super().register(model_or_iterable, admin_class, **options)

    def has_permission(self, request: HttpRequest) -> bool:
        """Let in who is a member of an organization; each page then asks for its own permission."""
        return getattr(request, "member", None) is not None

    def get_urls(self) -> list[URLPattern]:
        own = [path(page.path, self.admin_view(page.view), name=page.name) for page in PAGES]
        # Without Django's redirect to any object of any organization by its content type and key.
        return [*own, *(each for each in super().get_urls() if getattr(each, "name", "") != "view_on_site")]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        home = current_home()
        if home is not None:
            return home(request)
        return render_page(request, "as/home_empty.html", title=gettext("Home"))

    def app_index(
        self, request: HttpRequest, app_label: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """There are no apps in the marketer's world: the sidebar is the index."""
        return self.index(request)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        wait = seconds_to_wait(request, group="login", rate="20/m") if request.method == "POST" else None
        if wait is not None:
            return too_many_requests(wait)
        response: HttpResponse = super().login(request, extra_context)
        return response

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Set one's password; who came by a link and has none yet isn't asked for an old one."""
        view = PasswordChangeView.as_view(
            form_class=OwnPasswordForm,
            success_url=reverse("admin:password_change_done"),
            template_name="organizations/password.html",
            extra_context={**self.each_context(request), "title": _("Your password")},
        )
        return cast(HttpResponse, view(request))

    def password_change_done(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        messages.success(request, _("Your password is changed. Other devices are signed out."))
        return redirect("admin:index")

    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Answer Ctrl K.

        Unfold's own search caches by user and term, so that after a switch another organization's names appear; this
        one keeps nothing, and each search it asks uses an index.
        """
        if not self.has_permission(request):
            raise PermissionDenied
        term = request.GET.get("s", "").strip().lower()
        results = Paginator(jump_results(request, term) if term else [], per_page=50)
        return TemplateResponse(request, "as/jump_results.html", {"results": results.page(1), "term": term})
