from __future__ import annotations

from typing import ClassVar

from django.db import models

from organizations.models import Organization, OrganizationQuerySet


class CompiledEmail(models.Model):
    """One immutable compiled version of an email: see `delivery.compiling` for the payload."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    payload = models.JSONField()
    links = models.JSONField(default=list)  # [{"no", "url", "label"}], what clicks are counted by
    html_bytes = models.IntegerField()
    subject = models.CharField(max_length=998)  # as written, for people to recognise it
    digest = models.CharField(max_length=64)  # of the source: an unchanged source is not compiled again
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[CompiledEmail]] = OrganizationQuerySet["CompiledEmail"].as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "digest"], name="compiled_email_once")]

    def __str__(self) -> str:
        return self.subject


class MailoutEmail(models.Model):
    """Which compiled email a number stands for in a mailout; more than one in an experiment."""

    pk = models.CompositePrimaryKey("mailout_id", "email_no")
    mailout_id = models.IntegerField()
    email_no = models.SmallIntegerField()
    compiled_email = models.ForeignKey(CompiledEmail, on_delete=models.PROTECT, related_name="+", db_index=False)

    class Meta:
        db_table = "delivery_mailout_email"

    def __str__(self) -> str:
        return f"email {self.email_no} of mailout {self.mailout_id}"
