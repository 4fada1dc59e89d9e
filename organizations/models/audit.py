from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models

from organizations.models.organization import Organization
from organizations.models.scoped import OrganizationQuerySet


class AuditEntry(models.Model):
    """Who did what, when: acts that change whom we mail or that cannot be undone."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    action = models.CharField(max_length=64)
    object_type = models.CharField(max_length=40, blank=True)
    object_id = models.CharField(max_length=64, blank=True)
    detail = models.JSONField(default=dict)
    at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[AuditEntry]] = OrganizationQuerySet["AuditEntry"].as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["organization", "-at"], name="audit_newest")
        ]  # the audit page of an organization

    def __str__(self) -> str:
        return f"{self.action} {self.object_type} {self.object_id}"
