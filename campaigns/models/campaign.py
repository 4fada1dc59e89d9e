from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from campaigns.models.template import Template
from delivery.models import Mailout, SendingAccount
from organizations.models import Organization, OrganizationQuerySet
from subscribers.models import List


class CampaignState(models.TextChoices):
    DRAFT = "draft", _("Draft")
    SCHEDULED = "scheduled", _("Scheduled")
    SENDING = "sending", _("Sending")
    SENT = "sent", _("Sent")
    PAUSED = "paused", _("Paused")
    CANCELLED = "cancelled", _("Stopped")
    FAILED = "failed", _("Failed")


class ContentFormat(models.TextChoices):
    HTML = "html", _("HTML")
    MARKDOWN = "markdown", _("Markdown")


class Campaign(models.Model):
    """The marketer's noun: content, audience, schedule. Launching makes a Mailout; the engine knows no campaigns.

    `revision` goes up with every save; a save with an older one is refused (nobody overwrites silently).
    """

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(_("name"), max_length=200)
    state = models.CharField(_("state"), max_length=12, choices=CampaignState.choices, default=CampaignState.DRAFT)
    state_detail = models.TextField(blank=True)  # why a scheduled campaign did not start
    format = models.CharField(_("format"), max_length=12, choices=ContentFormat.choices, default=ContentFormat.HTML)
    body = models.TextField(_("content"), blank=True)
    template = models.ForeignKey(
        Template, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("template")
    )
    subject = models.CharField(_("subject"), max_length=400, blank=True)
    preheader = models.CharField(_("preview text"), max_length=300, blank=True)
    sender_name = models.CharField(_("sender name"), max_length=120, blank=True)
    sender_email = models.CharField(_("sender address"), max_length=320, blank=True)
    reply_to = models.CharField(_("reply-to address"), max_length=320, blank=True)
    account = models.ForeignKey(
        SendingAccount,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("sending account"),
    )
    lists = models.ManyToManyField(List, blank=True, related_name="+", verbose_name=_("lists"))
    excluded_lists = models.ManyToManyField(List, blank=True, related_name="+", verbose_name=_("but not to"))
    scheduled_at = models.DateTimeField(_("scheduled for"), null=True, blank=True)
    # Each person gets it when their own clocks show what the organization's show at scheduled_at.
    is_by_local_time = models.BooleanField(default=False)
    # Of a scheduled one: when it is launched, which is scheduled_at or the turn of the first time zone.
    starts_at = models.DateTimeField(null=True)
    not_after = models.DateTimeField(_("not after"), null=True, blank=True)
    # What the person who scheduled it saw: {"list_ids", "excluded_list_ids", "people"}. A list deleted since then
    # must not widen the audience silently.
    confirmed = models.JSONField(null=True, blank=True)
    mailout = models.ForeignKey(Mailout, on_delete=models.PROTECT, null=True, related_name="+")
    is_archived = models.BooleanField(_("archived"), default=False)
    revision = models.IntegerField(default=1)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    updated_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[models.Manager[Campaign]] = OrganizationQuerySet["Campaign"].as_manager()

    class Meta:
        verbose_name = _("campaign")
        verbose_name_plural = _("campaigns")
        indexes = [
            models.Index(fields=["organization", "-id"], name="campaign_newest"),
            models.Index(fields=["starts_at"], name="campaign_starting", condition=models.Q(state="scheduled")),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_editable(self) -> bool:
        return self.state in (CampaignState.DRAFT, CampaignState.FAILED)


class CampaignRevision(models.Model):
    """What a campaign looked like before a save: undo, and the answer to who changed what."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="revisions")
    revision = models.IntegerField()
    fields = models.JSONField()  # the values before the save
    changed = models.JSONField(default=list)  # names of the changed fields
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["campaign", "revision"], name="campaign_revision_once")]

    def __str__(self) -> str:
        return f"revision {self.revision} of campaign {self.campaign_id}"
