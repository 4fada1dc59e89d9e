from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class EventType(models.IntegerChoices):
    """What a provider or a reader did to a message; anymail's vocabulary, numbered for the ledger."""

    SENT = 1, _("Sent")
    DELIVERED = 2, _("Delivered")
    BOUNCED = 3, _("Bounced")
    SOFT_BOUNCED = 4, _("Bounced for now")
    DEFERRED = 5, _("Delayed")
    COMPLAINED = 6, _("Complained")
    REJECTED = 7, _("Rejected")
    FAILED = 8, _("Could not be rendered")
    OPENED = 9, _("Opened")
    CLICKED = 10, _("Clicked")
    UNSUBSCRIBED = 11, _("Unsubscribed")
    AUTORESPONDED = 12, _("Automatic answer")
    SENT_AGAIN = 13, _("Sent again")  # somebody's decision about a lost answer; the only event that is our own act


class Verdict(models.IntegerChoices):
    """Who opened or clicked, as far as one can tell."""

    UNJUDGED = 0
    HUMAN = 1
    MACHINE = 2


class DeliveryEvent(models.Model):
    """One fact about one message, once: the primary key is the natural key.

    `disc` tells apart events of one type at one time: hash of the feedback id, or of link, address and agent.
    `tx` lets consumers read in commit order (see the migration). Partitioned by month of `at`.
    """

    pk = models.CompositePrimaryKey("mailout_id", "n", "type", "at", "disc")
    mailout_id = models.IntegerField()
    n = models.IntegerField()
    at = models.DateTimeField()
    type = models.SmallIntegerField(choices=EventType.choices)
    disc = models.IntegerField(default=0)
    link_no = models.SmallIntegerField(null=True)
    verdict = models.SmallIntegerField(choices=Verdict.choices, default=Verdict.UNJUDGED)
    id = models.BigIntegerField()
    detail = models.JSONField(null=True)

    class Meta:
        db_table = "delivery_event"

    def __str__(self) -> str:
        return f"{self.get_type_display()} {self.mailout_id}/{self.n}"


class Inbox(models.Model):
    """Raw provider messages, verified and not yet processed. Deleted when processed; the digest stays in InboxSeen."""

    id = models.BigAutoField(primary_key=True)
    source = models.CharField(max_length=20, default="ses")
    body = models.BinaryField()
    attempts = models.SmallIntegerField(default=0)
    received_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "delivery_inbox"

    def __str__(self) -> str:
        return f"inbox {self.id}"


class InboxDead(models.Model):
    """Messages that could not be processed, kept with the reason for a person to look at."""

    id = models.BigAutoField(primary_key=True)
    source = models.CharField(max_length=20, default="ses")
    body = models.BinaryField()
    error = models.TextField()
    received_at = models.DateTimeField()
    died_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "delivery_inbox_dead"

    def __str__(self) -> str:
        return f"dead {self.id}"


class InboxSeen(models.Model):
    """Provider ids seen: what makes a repeated delivery a no-op. Partitioned by month of `published_at`."""

    pk = models.CompositePrimaryKey("published_at", "digest")
    published_at = models.DateTimeField()
    digest = models.BinaryField(max_length=16)

    class Meta:
        db_table = "delivery_inbox_seen"

    def __str__(self) -> str:
        return self.digest.hex()


class StatEmail(models.Model):
    """Roll-up per mailout and email: totals, people, and people judged human."""

    pk = models.CompositePrimaryKey("mailout_id", "email_no", "type")
    mailout_id = models.IntegerField()
    email_no = models.SmallIntegerField()
    type = models.SmallIntegerField(choices=EventType.choices)
    total = models.IntegerField(default=0)
    uniq = models.IntegerField(default=0)
    uniq_human = models.IntegerField(default=0)

    class Meta:
        db_table = "delivery_stat_email"

    def __str__(self) -> str:
        return f"{self.mailout_id} {self.type}: {self.total}"


class StatHour(models.Model):
    """Roll-up per mailout and hour."""

    pk = models.CompositePrimaryKey("mailout_id", "hour", "type")
    mailout_id = models.IntegerField()
    hour = models.DateTimeField()
    type = models.SmallIntegerField(choices=EventType.choices)
    total = models.IntegerField(default=0)
    uniq = models.IntegerField(default=0)
    uniq_human = models.IntegerField(default=0)

    class Meta:
        db_table = "delivery_stat_hour"

    def __str__(self) -> str:
        return f"{self.mailout_id} {self.hour} {self.type}: {self.total}"


class StatDomain(models.Model):
    """Roll-up per mailout and mail domain."""

    pk = models.CompositePrimaryKey("mailout_id", "domain_id", "type")
    mailout_id = models.IntegerField()
    domain_id = models.BigIntegerField()
    type = models.SmallIntegerField(choices=EventType.choices)
    total = models.IntegerField(default=0)
    uniq = models.IntegerField(default=0)
    uniq_human = models.IntegerField(default=0)

    class Meta:
        db_table = "delivery_stat_domain"

    def __str__(self) -> str:
        return f"{self.mailout_id} {self.domain_id} {self.type}: {self.total}"


class StatLink(models.Model):
    """Clicks per mailout, email and link."""

    pk = models.CompositePrimaryKey("mailout_id", "email_no", "link_no")
    mailout_id = models.IntegerField()
    email_no = models.SmallIntegerField()
    link_no = models.SmallIntegerField()
    total = models.IntegerField(default=0)
    uniq = models.IntegerField(default=0)
    uniq_human = models.IntegerField(default=0)

    class Meta:
        db_table = "delivery_stat_link"

    def __str__(self) -> str:
        return f"{self.mailout_id} link {self.link_no}: {self.total}"
