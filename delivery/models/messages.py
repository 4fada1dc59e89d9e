from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _


class MessageState(models.IntegerChoices):
    """`sending` is not stored: it is `queued` inside an armed call's range."""

    QUEUED = 0, _("Waiting")
    SENT = 1, _("Sent")
    SIMULATED = 2, _("Simulated")
    FAILED = 3, _("Failed")
    UNKNOWN = 4, _("No answer from the provider")
    EXCLUDED = 5, _("Left out")
    CANCELLED = 6, _("Stopped")
    HELD = 7, _("Held back")


class ExclusionReason(models.IntegerChoices):
    """Why a candidate gets no email. The order is the order of precedence at launch."""

    NONE = 0, ""
    COMPLAINED = 1, _("Complained")
    BOUNCED = 2, _("Bounced before")
    SUPPRESSED = 3, _("On the suppression list")
    UNSUBSCRIBED = 4, _("Unsubscribed")
    UNCONFIRMED = 5, _("Never confirmed")
    EXCLUDED_LIST = 6, _("On a list that was left out")
    INVALID = 7, _("Not a deliverable address")
    ERASED = 8, _("Erased")
    ADDRESS_CHANGED = 9, _("Address changed since the audience was frozen")
    TOO_LATE = 10, _("Too late")


class Message(models.Model):
    """One person's email in a mailout, with its whole fate. Facts that come later are the earliest time seen.

    Written by the engine and the event processor through SQL only; the table is partitioned by month of the
    mailout's id (see the migration). Identity is (mailout_id, n), n counting from 1 within the mailout,
    eligible people first.
    """

    pk = models.CompositePrimaryKey("mailout_id", "n")
    mailout_id = models.IntegerField()
    n = models.IntegerField()
    subscriber_id = models.BigIntegerField()  # 0: an address that is no subscriber, see MessageAddress
    occurrence = models.BigIntegerField(default=0)
    domain_id = models.BigIntegerField(default=0)
    list_id = models.BigIntegerField(default=0)
    address_hash = models.IntegerField(default=0)  # of the canonical address at launch
    email_no = models.SmallIntegerField(default=0)
    state = models.SmallIntegerField(choices=MessageState.choices, default=MessageState.QUEUED)
    reason = models.SmallIntegerField(choices=ExclusionReason.choices, default=ExclusionReason.NONE)
    attempt = models.SmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    bounced_at = models.DateTimeField(null=True)
    complained_at = models.DateTimeField(null=True)
    unsubscribed_at = models.DateTimeField(null=True)
    opened_at = models.DateTimeField(null=True)
    opened_human_at = models.DateTimeField(null=True)
    clicked_at = models.DateTimeField(null=True)
    clicked_human_at = models.DateTimeField(null=True)
    provider_id = models.TextField(null=True)  # noqa: DJ001 - absent until accepted; "" would cost a byte per row
    error = models.TextField(null=True)  # noqa: DJ001 - likewise

    class Meta:
        db_table = "delivery_message"

    def __str__(self) -> str:
        return f"message {self.n} of mailout {self.mailout_id}"


class MessageAddress(models.Model):
    """The address of a recipient who is no subscriber: test sends, transactional mail."""

    pk = models.CompositePrimaryKey("mailout_id", "n")
    mailout_id = models.IntegerField()
    n = models.IntegerField()
    address = models.CharField(max_length=320)
    name = models.CharField(max_length=240, blank=True)

    class Meta:
        db_table = "delivery_message_address"

    def __str__(self) -> str:
        return self.address


class BatchState(models.IntegerChoices):
    READY = 0
    CLAIMED = 1
    DONE = 2
    HELD = 3  # waits for a pilot or an experiment's winner
    CANCELLED = 4


class MessageBatch(models.Model):
    """What a worker claims: a range [lo, hi) of n, or an explicit member array for retries.

    Below `armed_to` a batch is never read again. In a batch with members, lo, hi and armed_to count positions
    in the array. The counters are what progress is summed from.
    """

    id = models.BigAutoField(primary_key=True)
    mailout_id = models.IntegerField()
    account_id = models.BigIntegerField()  # 0: dry runs
    organization_id = models.BigIntegerField()
    lane = models.SmallIntegerField()
    email_no = models.SmallIntegerField()
    lo = models.IntegerField()
    hi = models.IntegerField()
    members = ArrayField(models.IntegerField(), null=True)
    attempt = models.SmallIntegerField(default=0)
    call_size = models.SmallIntegerField(default=0)  # 0: as large as allowed; 1: one by one, to find the bad entry
    armed_to = models.IntegerField()
    state = models.SmallIntegerField(choices=BatchState.choices, default=BatchState.READY)
    claim = models.IntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    due_at = models.DateTimeField()
    sent = models.IntegerField(default=0)
    failed = models.IntegerField(default=0)
    excluded = models.IntegerField(default=0)
    unknown = models.IntegerField(default=0)
    cancelled = models.IntegerField(default=0)
    open_calls = models.IntegerField(default=0)

    class Meta:
        db_table = "delivery_message_batch"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(armed_to__gte=models.F("lo"), armed_to__lte=models.F("hi")),
                name="batch_armed_within",
            )
        ]
        indexes = [
            # claiming: the next due batch of an organization in a lane
            models.Index(
                fields=["account_id", "lane", "organization_id", "due_at"],
                name="batch_ready",
                condition=models.Q(state=0),
            ),
            # the reaper: whose lease ran out
            models.Index(fields=["lease_until"], name="batch_claimed", condition=models.Q(state=1)),
            # progress and finishing
            models.Index(fields=["mailout_id"], name="batch_of_mailout"),
        ]

    def __str__(self) -> str:
        return f"batch {self.id} of mailout {self.mailout_id}"


class CallState(models.IntegerChoices):
    ARMED = 0
    SETTLED = 1
    LOST = 2  # its lease ran out: its people are unknown unless its answer or an event comes later
    NOT_SENT = 3  # never handed over: its people were packed again


class SendCall(models.Model):
    """One armed provider call: committed before the request goes out, deleted 7 days after the mailout finished."""

    id = models.UUIDField(primary_key=True)
    batch_id = models.BigIntegerField()
    mailout_id = models.IntegerField()
    claim = models.IntegerField()
    lo = models.IntegerField()
    hi = models.IntegerField()
    state = models.SmallIntegerField(choices=CallState.choices, default=CallState.ARMED)
    checked_at = models.DateTimeField()
    armed_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "delivery_send_call"
        constraints = [models.UniqueConstraint(fields=["batch_id", "lo"], name="send_call_once")]
        # finishing: is a call of this mailout still out?
        indexes = [models.Index(fields=["mailout_id"], name="send_call_armed", condition=models.Q(state=0))]

    def __str__(self) -> str:
        return str(self.id)
