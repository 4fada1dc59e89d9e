"""The admin site: members of an organization come in, whatever Django's own flags say."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from unfold.sites import UnfoldAdminSite

from organizations.admin.pages import PAGES, current_home


class AmazonSenderSite(UnfoldAdminSite):
    """Unfold's site with our door, our pages and a search that stays inside one organization."""

    enable_nav_sidebar = True

    def has_permission(self, request: HttpRequest) -> bool:
        """Let in who is a member of an organization; each page then asks for its own permission."""
        return getattr(request, "member", None) is not None

    def get_urls(self) -> list[URLPattern]:
        own = [path(page.path, self.admin_view(page.view), name=page.name) for page in PAGES]
        return [*own, *super().get_urls()]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        home = current_home()
        if home is not None:
            return home(request)
        response: HttpResponse = super().index(request, extra_context)
        return response
