from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from organizations.models import Organization, OrganizationQuerySet
from subscribers.models.subscriber import Subscriber


class List(models.Model):
    """A topic people opt in to."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(_("name"), max_length=120)
    description = models.CharField(
        _("description"), max_length=300, blank=True, help_text=_("Shown to people on the preference page.")
    )
    is_public = models.BooleanField(
        _("public"), default=True, help_text=_("Public lists are offered on the preference page.")
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[List]] = OrganizationQuerySet["List"].as_manager()

    class Meta:
        verbose_name = _("list")
        verbose_name_plural = _("lists")
        constraints = [models.UniqueConstraint(fields=["organization", "name"], name="list_name_once")]

    def __str__(self) -> str:
        return self.name


class SubscriptionState(models.TextChoices):
    PENDING = "pending", _("Waiting for confirmation")
    SUBSCRIBED = "subscribed", _("Subscribed")
    UNSUBSCRIBED = "unsubscribed", _("Unsubscribed")


class Subscription(models.Model):
    """A person's state on a list. What led to it is in ConsentRecord."""

    # without a constraint: the list's own belongs to the same organization, and each check costs an import 3 µs a row
    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    list = models.ForeignKey(List, on_delete=models.CASCADE, related_name="subscriptions", db_index=False)
    subscriber = models.ForeignKey(Subscriber, on_delete=models.CASCADE, related_name="subscriptions")
    state = models.CharField(
        _("state"), max_length=12, choices=SubscriptionState.choices, default=SubscriptionState.SUBSCRIBED
    )
    changed_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[Subscription]] = OrganizationQuerySet["Subscription"].as_manager()

    class Meta:
        verbose_name = _("subscription")
        verbose_name_plural = _("subscriptions")
        # also the order in which an audience is read
        constraints = [models.UniqueConstraint(fields=["list", "subscriber"], name="subscription_once")]

    def __str__(self) -> str:
        return f"{self.subscriber_id} on {self.list_id}: {self.state}"


class ConsentRecord(models.Model):
    """One opt-in or opt-out: what, when, how, from where, which text. Never changed, never deleted but by erasure."""

    class Action(models.TextChoices):
        OPT_IN = "opt_in", _("Opted in")
        OPT_OUT = "opt_out", _("Opted out")

    class Method(models.TextChoices):
        IMPORT = "import", _("Import")
        FORM = "form", _("Form")
        ONE_CLICK = "one_click", _("One-click unsubscribe")
        PAGE = "page", _("Page")
        ADMIN = "admin", _("Admin")
        API = "api", _("API")
        PROVIDER = "provider", _("Provider")
        SAMPLE = "sample", _("Sample data")

    organization = models.ForeignKey(
        Organization, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    subscriber = models.ForeignKey(Subscriber, on_delete=models.CASCADE, related_name="consents", db_constraint=False)
    # NULL means everything. A list that is deleted keeps its number here: an opt-out from it must not become one from
    # everything, and the record is never changed.
    list = models.ForeignKey(
        List, on_delete=models.DO_NOTHING, null=True, related_name="+", db_constraint=False, db_index=False
    )
    action = models.CharField(max_length=8, choices=Action.choices)
    method = models.CharField(max_length=12, choices=Method.choices)
    at = models.DateTimeField()
    source = models.CharField(max_length=300, blank=True)
    text = models.TextField(blank=True)
    reason = models.CharField(max_length=300, blank=True)
    ip = models.GenericIPAddressField(null=True)  # truncated: /24 or /48
    user_agent = models.CharField(max_length=300, blank=True)
    mailout_id = models.IntegerField(null=True)
    message_n = models.IntegerField(null=True)

    objects: ClassVar[models.Manager[ConsentRecord]] = OrganizationQuerySet["ConsentRecord"].as_manager()

    class Meta:
        verbose_name = _("consent record")
        verbose_name_plural = _("consent records")

    def __str__(self) -> str:
        return f"{self.action} of {self.subscriber_id}"
