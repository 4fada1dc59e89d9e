from __future__ import annotations

from typing import ClassVar, Final

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from delivery.models.accounts import SendingAccount
from organizations.models import Organization, OrganizationQuerySet


class MailoutKind(models.TextChoices):
    CAMPAIGN = "campaign", _("Campaign")
    TEST = "test", _("Test send")
    TRANSACTIONAL = "transactional", _("Transactional")
    AUTOMATION = "automation", _("Automation")


class Lane(models.IntegerChoices):
    """The order in which work is served; campaigns keep a tenth whatever waits before them."""

    TRANSACTIONAL = 0, _("Transactional")
    AUTOMATION = 1, _("Automation")
    CAMPAIGN = 2, _("Campaign")


class MailoutState(models.TextChoices):
    SENDING = "sending", _("Sending")
    PAUSED = "paused", _("Paused")
    CANCELLING = "cancelling", _("Stopping")
    CANCELLED = "cancelled", _("Stopped")
    FINISHED = "finished", _("Sent")


class StateReason(models.TextChoices):
    """Why a mailout is paused, waiting or stopped: what people are told and offered a way on from."""

    BY_HAND = "by_hand", _("Paused by hand")
    BOUNCES = "bounces", _("Too many addresses bounced")
    COMPLAINTS = "complaints", _("Too many people complained")
    SENDER = "sender", _("The sender is not verified")
    PILOT = "pilot", _("Waiting for the bounces of the first people")
    ERRORS = "errors", _("The provider refuses too many messages")


# Reasons for which a mailout stops by itself because of what it does. Somebody may lift each for one mailout.
BRAKES: Final = (StateReason.BOUNCES, StateReason.COMPLAINTS, StateReason.ERRORS)


class Mailout(models.Model):
    """The engine's noun: one send job with its compiled emails, frozen audience, account, pace and state.

    The id is months since 2020 × 1,000,000 + a running number, so that the ledger is partitioned by month
    and its uniqueness survives. `final_account` is counted from the ledger when it has finished.
    """

    id = models.IntegerField(primary_key=True)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    account = models.ForeignKey(SendingAccount, on_delete=models.PROTECT, null=True, related_name="+")  # null: dry run
    kind = models.CharField(max_length=16, choices=MailoutKind.choices)
    lane = models.SmallIntegerField(choices=Lane.choices)
    is_dry_run = models.BooleanField(default=False)
    name = models.CharField(max_length=300)
    idempotency_key = models.CharField(max_length=120)  # what launches once: "campaign:7", a request's key
    state = models.CharField(max_length=12, choices=MailoutState.choices, default=MailoutState.SENDING)
    state_reason = models.CharField(max_length=16, blank=True, choices=StateReason.choices)
    list_ids = ArrayField(models.BigIntegerField(), default=list)
    excluded_list_ids = ArrayField(models.BigIntegerField(), default=list)
    sender = models.CharField(max_length=500)  # RFC 5322 mailbox, ASCII
    reply_to = models.CharField(max_length=500, blank=True)
    list_label = models.CharField(max_length=200, blank=True)  # phrase of List-Id
    preview_subscriber_id = models.BigIntegerField(null=True)  # whose data a test send shows
    rate_limit = models.FloatField(null=True)  # people per second, below the account's own
    pace_tat = models.DateTimeField(null=True)  # the limiter's clock for rate_limit
    candidates = models.IntegerField(default=0)
    eligible = models.IntegerField(default=0)
    lifted_brakes = ArrayField(models.CharField(max_length=16), default=list)  # those that somebody went on in spite of
    pilot_until = models.DateTimeField(null=True)
    frozen_at = models.DateTimeField()
    not_after = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    final_account = models.JSONField(null=True)
    is_account_stale = models.BooleanField(default=False)  # an event moved a settled message: count again
    traceparent = models.CharField(max_length=55, blank=True, default="")  # W3C: the span that launched it
    request_id = models.CharField(max_length=64, blank=True, default="")  # of the click or API call that launched it
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[Mailout]] = OrganizationQuerySet["Mailout"].as_manager()

    class Meta:
        verbose_name = _("sending")
        verbose_name_plural = _("sendings")
        constraints = [
            models.UniqueConstraint(fields=["organization", "idempotency_key"], name="mailout_launched_once")
        ]
        indexes = [
            # the tick looks at what is under way
            models.Index(fields=["state"], name="mailout_open", condition=models.Q(finished_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_open(self) -> bool:
        return self.state not in (MailoutState.CANCELLED, MailoutState.FINISHED)

    @property
    def counts_in_statistics(self) -> bool:
        """Tests and dry runs stay out of reports, caps, quota and people's history."""
        return self.kind != MailoutKind.TEST and not self.is_dry_run
