"""The first line of every read: rows of one organization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeVar

from django.db import models

if TYPE_CHECKING:
    from organizations.models.organization import Organization

M = TypeVar("M", bound=models.Model, covariant=True)


class OrganizationQuerySet(models.QuerySet[M]):
    """QuerySet of a model with an `organization` foreign key."""

    def for_organization(self, organization: Organization) -> Self:
        """Rows that belong to the organization. Every read of tenant data starts here."""
        return self.filter(organization_id=organization.pk)
