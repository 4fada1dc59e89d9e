from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from organizations.models import Organization, OrganizationQuerySet


class Domain(models.Model):
    """A mail domain in punycode. Shared by all organizations: a number instead of a text in the ledger."""

    name = models.CharField(max_length=253, unique=True, db_collation="C")

    def __str__(self) -> str:
        return self.name


class SubscriberStatus(models.TextChoices):
    ACTIVE = "active", _("Active")
    UNSUBSCRIBED = "unsubscribed", _("Unsubscribed from everything")
    BOUNCED = "bounced", _("Bounced")
    COMPLAINED = "complained", _("Complained")


class Subscriber(models.Model):
    """One person, one email address per organization.

    `email` is the address as written; `address_key` its canonical form, by which it is found: trimmed, NFC,
    IDNA 2008 domain in punycode, lower case. Every negative act (unsubscribe, bounce, complaint, suppression,
    changed address) stamps `opted_out_at` in its own transaction: the engine looks further only for people
    stamped since its audience was frozen.
    """

    # no index of its own: both indexes below that start with it serve the foreign key
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+", db_index=False)
    email = models.CharField(_("email address"), max_length=320)
    # compared by bytes: a search for its start uses the index, and imports sort it the same way on every server
    address_key = models.CharField(max_length=320, editable=False, db_collation="C")
    domain = models.ForeignKey(Domain, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    first_name = models.CharField(_("first name"), max_length=120, blank=True)
    last_name = models.CharField(_("last name"), max_length=120, blank=True)
    locale = models.CharField(_("language"), max_length=12, blank=True)
    time_zone = models.CharField(_("time zone"), max_length=64, blank=True)
    attributes = models.JSONField(_("attributes"), default=dict, blank=True)
    tags = ArrayField(models.CharField(max_length=60), default=list, blank=True, verbose_name=_("tags"))
    status = models.CharField(
        _("status"), max_length=12, choices=SubscriberStatus.choices, default=SubscriberStatus.ACTIVE
    )
    is_sample = models.BooleanField(default=False, editable=False)
    opted_out_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[models.Manager[Subscriber]] = OrganizationQuerySet["Subscriber"].as_manager()

    class Meta:
        verbose_name = _("subscriber")
        verbose_name_plural = _("subscribers")
        constraints = [models.UniqueConstraint(fields=["organization", "address_key"], name="subscriber_address_once")]
        indexes = [
            models.Index(fields=["organization", "-id"], name="subscriber_newest"),  # the list page, newest first
            # an event names an address, and platform suppressions cross organizations
            models.Index(fields=["address_key"], name="subscriber_address_anywhere"),
        ]

    def __str__(self) -> str:
        return self.email

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip()


class AttributeType(models.TextChoices):
    TEXT = "text", _("Text")
    NUMBER = "number", _("Number")
    BOOLEAN = "boolean", _("Yes or no")
    DATE = "date", _("Date")
    DATETIME = "datetime", _("Date and time")
    CHOICE = "choice", _("Choice")
    LIST = "list", _("List")


class AttributeDefinition(models.Model):
    """A typed field of subscribers that an organization defines."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    key = models.SlugField(_("key"), max_length=60)
    label = models.CharField(_("label"), max_length=120, blank=True)
    type = models.CharField(_("type"), max_length=12, choices=AttributeType.choices, default=AttributeType.TEXT)
    choices = ArrayField(models.CharField(max_length=120), default=list, blank=True, verbose_name=_("choices"))
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[AttributeDefinition]] = OrganizationQuerySet["AttributeDefinition"].as_manager()

    class Meta:
        verbose_name = _("attribute")
        verbose_name_plural = _("attributes")
        constraints = [models.UniqueConstraint(fields=["organization", "key"], name="attribute_key_once")]

    def __str__(self) -> str:
        return self.label or self.key
