"""Fetching one row for somebody: of their organization, or not at all."""

from __future__ import annotations

from typing import TypeVar

from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import models
from django.utils.translation import gettext as _

from amazonsender.core.errors import NotFound
from organizations.models import Member, Organization, OrganizationQuerySet, User

M = TypeVar("M", bound=models.Model)


def access(queryset: OrganizationQuerySet[M] | models.Manager[M], *, organization: Organization, pk: object) -> M:
    """Return the row with this key if it belongs to the organization.

    Raises NotFound in both other cases, so that an outsider can't learn which keys exist.
    """
    try:
        return queryset.filter(organization_id=organization.pk).get(pk=pk)
    except (ObjectDoesNotExist, ValueError, TypeError, ValidationError, OverflowError):
        raise NotFound(_("There is no such page, or it is not yours.")) from None


def access_member(*, user: User, organization_id: int | str | None) -> Member:
    """Return the user's membership of the organization. Raises NotFound for everybody else."""
    try:
        return Member.objects.select_related("organization").get(user=user, organization_id=organization_id or 0)
    except (Member.DoesNotExist, ValueError, TypeError, OverflowError):
        raise NotFound(_("There is no such organization, or you are not in it.")) from None
