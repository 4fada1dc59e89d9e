"""Pages of our own under /admin/: registered by the apps, routed by the site."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final, TypeVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.loader import render_to_string
from django.template.response import TemplateResponse

from amazonsender.core.errors import Forbidden, NotFound
from organizations.access import access
from organizations.models import OrganizationQuerySet
from organizations.permissions import PERMISSIONS
from organizations.requests import allowed, organization_of

View = Callable[..., HttpResponse]
M = TypeVar("M", bound=models.Model)


@dataclass(frozen=True)
class AdminPage:
    """One route under /admin/ with the permissions that open it."""

    path: str
    name: str
    permission: str
    view: View


PAGES: Final[list[AdminPage]] = []
_home: list[View] = []


def admin_page(path: str, *, name: str, permission: str, post_permission: str = "") -> Callable[[View], View]:
    """Register a view as /admin/<path>, reversible as admin:<name>, for members whose role has the permission.

    `post_permission` is asked for everything but GET and HEAD (`permission` where it is empty). Strangers are sent to
    the sign-in page by the site; a member without the permission gets 403; NotFound of an access function becomes 404.
    """
    for word in filter(None, (permission, post_permission)):
        if word not in PERMISSIONS:
            raise KeyError(word)

    def register(view: View) -> View:
        @wraps(view)
        def checked(request: HttpRequest, **kwargs: Any) -> HttpResponse:
            wanted = permission if request.method in ("GET", "HEAD") else post_permission or permission
            if not allowed(request, wanted):
                raise PermissionDenied
            try:
                response = view(request, **kwargs)
            except NotFound as error:
                raise Http404(str(error)) from None
            except Forbidden as error:
                raise PermissionDenied(str(error)) from None
            if isinstance(response, HttpResponseNotAllowed) and request.method == "GET":
                # Whoever signs in again after pressing a button comes here by address: an empty page helps nobody.
                response.content = render_to_string("405.html", request=request).encode()
            return response

        PAGES.append(AdminPage(path, name, permission, checked))
        return checked

    return register


def row_of(
    request: HttpRequest, queryset: OrganizationQuerySet[M] | models.Manager[M], *, pk: str, permission: str
) -> M:
    """Return one of the organization's rows for a page of ours that stands in for a ModelAdmin's.

    403 without the permission, 404 for what is not there or another organization's, as `admin_page` answers.
    """
    if not allowed(request, permission):
        raise PermissionDenied
    try:
        return access(queryset, organization=organization_of(request), pk=pk)
    except NotFound as error:
        raise Http404(str(error)) from None


def home_page(view: View) -> View:
    """Make a view the page at /admin/. The last one to register wins."""
    _home[:] = [view]
    return view


def current_home() -> View | None:
    """Return the view of /admin/ that an app registered."""
    return _home[0] if _home else None


def render_page(
    request: HttpRequest, template: str, *, title: str, status: int = 200, **context: Any
) -> TemplateResponse:
    """Answer with a page in the admin's shell; the template extends admin/base.html."""
    return TemplateResponse(
        request, template, {**admin.site.each_context(request), "title": title, **context}, status=status
    )
