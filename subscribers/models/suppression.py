from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from organizations.models import Organization, OrganizationQuerySet
from subscribers.models.lists import List


class SuppressionScope(models.TextChoices):
    ALL = "all", _("All mail")
    MARKETING = "marketing", _("Marketing")
    LIST = "list", _("One list")


class SuppressionReason(models.TextChoices):
    HARD_BOUNCE = "hard_bounce", _("Hard bounce")
    SOFT_BOUNCE = "soft_bounce", _("Repeated soft bounces")
    COMPLAINT = "complaint", _("Complaint")
    UNSUBSCRIBE = "unsubscribe", _("Unsubscribed")
    INVALID = "invalid", _("Invalid address")
    MANUAL = "manual", _("Added by hand")
    IMPORT = "import", _("Imported")
    PROVIDER = "provider", _("Suppressed by the provider")


class Suppression(models.Model):
    """An address that must not be mailed. Without an organization it holds for the whole platform."""

    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, null=True, related_name="+", db_index=False
    )
    address_key = models.CharField(_("address"), max_length=320, db_collation="C")
    scope = models.CharField(_("scope"), max_length=12, choices=SuppressionScope.choices, default=SuppressionScope.ALL)
    list = models.ForeignKey(List, on_delete=models.CASCADE, null=True, blank=True, related_name="+", db_index=False)
    reason = models.CharField(
        _("reason"), max_length=12, choices=SuppressionReason.choices, default=SuppressionReason.MANUAL
    )
    source = models.CharField(_("source"), max_length=300, blank=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[Suppression]] = OrganizationQuerySet["Suppression"].as_manager()

    class Meta:
        verbose_name = _("suppression")
        verbose_name_plural = _("suppressions")
        constraints = [
            models.UniqueConstraint(
                fields=["address_key", "organization", "scope", "list"], nulls_distinct=False, name="suppression_once"
            ),
            models.CheckConstraint(
                condition=models.Q(scope="list", list__isnull=False)
                | (~models.Q(scope="list") & models.Q(list__isnull=True)),
                name="suppression_list_scope_has_list",
            ),
        ]
        indexes = [models.Index(fields=["organization", "-id"], name="suppression_newest")]  # the list page

    def __str__(self) -> str:
        return self.address_key
