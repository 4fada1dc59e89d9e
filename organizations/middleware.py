"""Which organization a request works in, and in which language and time zone it is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation

from organizations.models import User
from organizations.requests import OrganizationRequest
from organizations.selectors.members import member_for_session

SESSION_KEY: Final = "organization_id"


class OrganizationMiddleware:
    """Set `request.organization` and `request.member`; None for strangers.

    Readers' pages bring no session, so they cost no query here.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        scoped = cast(OrganizationRequest, request)
        scoped.organization = scoped.member = None
        if settings.SESSION_COOKIE_NAME in request.COOKIES and isinstance(request.user, User):
            scoped.member = member_for_session(user=request.user, organization_id=request.session.get(SESSION_KEY))
        if scoped.member is None:
            return self.get_response(request)
        scoped.organization = scoped.member.organization
        structlog.contextvars.bind_contextvars(organization=scoped.organization.pk)
        language = scoped.member.user.language or scoped.organization.locale
        scoped.LANGUAGE_CODE = language
        with translation.override(language), timezone.override(scoped.organization.zone):
            return self._rendered(self.get_response(request))

    @staticmethod
    def _rendered(response: HttpResponse) -> HttpResponse:
        response.headers.setdefault("Content-Language", translation.get_language() or settings.LANGUAGE_CODE)
        return response
