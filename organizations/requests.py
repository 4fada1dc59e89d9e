"""A request of somebody who is signed in and works in one organization at a time."""

from __future__ import annotations

from typing import cast

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from organizations.models import Member, Organization, User
from organizations.permissions import may


class OrganizationRequest(HttpRequest):
    """What OrganizationMiddleware makes of a request: both are None for a stranger."""

    organization: Organization | None
    member: Member | None


def member_of(request: HttpRequest) -> Member:
    """Return the member who asks. Raises PermissionDenied for a stranger."""
    member = getattr(request, "member", None)
    if member is None:
        raise PermissionDenied
    return cast(Member, member)


def organization_of(request: HttpRequest) -> Organization:
    """Return the organization the request works in. Raises PermissionDenied for a stranger."""
    return member_of(request).organization


def user_of(request: HttpRequest) -> User:
    """Return the user who asks. Raises PermissionDenied for a stranger."""
    return member_of(request).user


def allowed(request: HttpRequest, permission: str) -> bool:
    """Say whether whoever asks has the permission in the organization of the request."""
    return may(getattr(request, "member", None), permission)
