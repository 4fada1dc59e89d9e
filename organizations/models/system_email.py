from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from organizations.models.organization import Organization
from organizations.models.scoped import OrganizationQuerySet


class SystemEmailPurpose(models.TextChoices):
    INVITATION = "invitation", _("Invitation")
    PASSWORD_RESET = "password_reset", _("Link to a new password")
    SIGN_IN_LINK = "sign_in_link", _("Link that signs in")
    PASSWORD_CHANGED = "password_changed", _("The password was changed")
    ROLE_CHANGED = "role_changed", _("The role was changed")
    REMOVED = "removed", _("Taken out of the team")


class SystemEmailState(models.TextChoices):
    QUEUED = "queued", _("waits to be sent")
    SENDING = "sending", _("is being sent")
    SENT = "sent", _("sent")
    FAILED = "failed", _("not sent")
    UNKNOWN = "unknown", _("perhaps sent")


ON_THE_WAY = (SystemEmailState.QUEUED, SystemEmailState.SENDING)


class SystemEmail(models.Model):
    """A letter of the product itself to one person. `organization` is empty for what concerns a person alone.

    The body may hold a link that signs somebody in: it is sealed while the letter is on its way, and erased when the
    letter is over, which the database insists on. `doubts` counts tries whose answer was lost.
    """

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, null=True, related_name="+")
    purpose = models.CharField(max_length=20, choices=SystemEmailPurpose.choices)
    to = models.EmailField(max_length=320)
    subject = models.CharField(max_length=300)
    sealed_body = models.TextField(blank=True)
    state = models.CharField(max_length=8, choices=SystemEmailState.choices, default=SystemEmailState.QUEUED)
    tries = models.SmallIntegerField(default=0)
    doubts = models.SmallIntegerField(default=0)
    due_at = models.DateTimeField()
    give_up_at = models.DateTimeField()
    leased_until = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=400, blank=True)
    provider_id = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    objects: ClassVar[models.Manager[SystemEmail]] = OrganizationQuerySet["SystemEmail"].as_manager()

    class Meta:
        verbose_name = _("own letter")
        verbose_name_plural = _("own letters")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=["queued", "sending"]) | models.Q(sealed_body=""),
                name="system_email_keeps_no_secret",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=["queued", "sending"], finished_at=None)
                | models.Q(state__in=["sent", "failed", "unknown"], finished_at__isnull=False),
                name="system_email_over_is_finished",
            ),
        ]
        indexes = [
            # what is due, and what a killed worker left: every 15 seconds
            models.Index(fields=["due_at"], name="system_email_due", condition=models.Q(state="queued")),
            models.Index(fields=["leased_until"], name="system_email_leased", condition=models.Q(state="sending")),
            models.Index(fields=["to", "created_at"], name="system_email_to"),  # how many somebody got this hour
            models.Index(fields=["organization", "purpose", "created_at"], name="system_email_of"),  # likewise
            models.Index(fields=["finished_at"], name="system_email_finished"),  # the purge
        ]

    def __str__(self) -> str:
        return f"{self.purpose} {self.pk}"
