from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from delivery.models.accounts import SendingAccount
from organizations.models import Organization, OrganizationQuerySet


class SendingDomain(models.Model):
    """The domain of some of an account's senders, with what the provider and DNS said of it last.

    Both are kept as data and judged when somebody looks. `identity`: what came of asking the provider about the identity
    that covers the domain. `findings`: DNS's answers, empty where it was not asked.
    """

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    account = models.ForeignKey(SendingAccount, on_delete=models.CASCADE, related_name="domains")
    name = models.CharField(_("domain"), max_length=253)
    identity = models.JSONField(default=dict, blank=True)
    findings = models.JSONField(default=dict, blank=True)
    checked_at = models.DateTimeField(null=True)

    objects: ClassVar[models.Manager[SendingDomain]] = OrganizationQuerySet["SendingDomain"].as_manager()

    class Meta:
        verbose_name = _("sending domain")
        verbose_name_plural = _("sending domains")
        constraints = [models.UniqueConstraint(fields=["account", "name"], name="sending_domain_once")]

    def __str__(self) -> str:
        return self.name
