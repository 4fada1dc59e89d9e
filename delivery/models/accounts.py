from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from organizations.models import Organization, OrganizationQuerySet


class ParkReason(models.TextChoices):
    """Why an account sends nothing at the moment."""

    QUOTA = "quota", _("Today's quota is used up")
    PAUSED = "paused", _("Sending is paused at the provider")
    SUSPENDED = "suspended", _("The provider suspended the account")
    REVIEW = "review", _("The account is under review at the provider")
    MISCONFIGURED = "misconfigured", _("The provider refuses our credentials or settings")
    OUTAGE = "outage", _("The provider does not answer")
    HOME = "home", _("This database was restored or copied, or its public address changed")


class SendingAccount(models.Model):
    """Credentials, region, limits and health of one provider account.

    Amazon's credentials stay in the environment (the provider's own chain) and never in this table. `topic_arns` is the
    allow-list of SNS topics whose messages we believe. Of other providers `variant` and `options` are what their
    constructor takes, and `sealed_options` those of them that are secret, as sealed JSON. `rate_limit` and `day_limit` are
    the owner's; where the provider tells no limits they are the only ones. Rates are recipients per second.
    """

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(_("name"), max_length=120)
    provider = models.CharField(_("provider"), max_length=20, default="ses")
    variant = models.CharField(_("service"), max_length=30, blank=True)
    options = models.JSONField(default=dict, blank=True)
    sealed_options = models.TextField(blank=True)
    region = models.CharField(_("region"), max_length=40, default="us-east-1")
    is_local = models.BooleanField(
        _("Local SES"), default=False, help_text=_("Sends to Local SES on this machine, never to a real person.")
    )
    configuration_set = models.CharField(_("configuration set"), max_length=64, blank=True)
    topic_arns = ArrayField(models.CharField(max_length=300), default=list, blank=True, verbose_name=_("SNS topics"))
    calls_in_flight = models.SmallIntegerField(_("calls in flight"), default=16, help_text=_("Per send process."))
    max_calls_per_second = models.FloatField(_("calls per second"), default=1000)
    rate_limit = models.FloatField(_("own limit, people per second"), null=True, blank=True)
    day_limit = models.IntegerField(_("own limit, people in 24 hours"), null=True, blank=True)
    pilot_threshold = models.IntegerField(default=5000)  # people never mailed before, above which a pilot goes first
    pilot_size = models.IntegerField(default=1000)
    pilot_wait_seconds = models.IntegerField(default=900)
    # what GetAccount said last
    sending_enabled = models.BooleanField(default=True)
    production_access = models.BooleanField(default=True)
    enforcement_status = models.CharField(max_length=20, blank=True)
    max_send_rate = models.FloatField(default=1)
    max_24_hour_send = models.FloatField(default=200)
    sent_last_24_hours = models.FloatField(default=0)
    checked_at = models.DateTimeField(null=True)
    check_error = models.TextField(blank=True)
    # how it is set up there, as delivery.services.inspecting found it; judged when somebody looks
    inspection = models.JSONField(default=dict, blank=True)
    inspected_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[SendingAccount]] = OrganizationQuerySet["SendingAccount"].as_manager()

    class Meta:
        verbose_name = _("sending account")
        verbose_name_plural = _("sending accounts")

    def __str__(self) -> str:
        return self.name


class AccountGrant(models.Model):
    """Another organization may send through this account."""

    account = models.ForeignKey(SendingAccount, on_delete=models.CASCADE, related_name="grants")
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "organization"], name="account_grant_once")]

    def __str__(self) -> str:
        return f"account {self.account_id} for organization {self.organization_id}"


class SenderIdentity(models.Model):
    """A sender address or domain, and what the provider says of it."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    account = models.ForeignKey(SendingAccount, on_delete=models.CASCADE, related_name="identities")
    identity = models.CharField(_("address or domain"), max_length=320)
    is_verified = models.BooleanField(_("verified"), default=False)
    dkim_status = models.CharField(max_length=30, blank=True)
    mail_from_domain = models.CharField(max_length=253, blank=True)
    checked_at = models.DateTimeField(null=True)

    objects: ClassVar[models.Manager[SenderIdentity]] = OrganizationQuerySet["SenderIdentity"].as_manager()

    class Meta:
        verbose_name = _("sender")
        verbose_name_plural = _("senders")
        constraints = [
            models.UniqueConstraint(fields=["organization", "account", "identity"], name="sender_identity_once")
        ]

    def __str__(self) -> str:
        return self.identity


class AccountPace(models.Model):
    """The limiter's row: theoretical arrival times (GCRA) of mail, calls and letters that go ahead, the day's use, the
    adaptive factor."""

    account = models.OneToOneField(
        SendingAccount, on_delete=models.CASCADE, primary_key=True, related_name="pace", db_constraint=False
    )
    mail_tat = models.DateTimeField()
    call_tat = models.DateTimeField()
    letter_tat = models.DateTimeField(default=timezone.now)
    max_rate = models.FloatField()
    max_calls = models.FloatField()
    factor = models.FloatField(default=1.0)
    decreased_at = models.DateTimeField(null=True)
    increased_at = models.DateTimeField(null=True)
    day_used = models.BigIntegerField(default=0)
    day_limit = models.BigIntegerField()
    parked_reason = models.CharField(max_length=16, blank=True, choices=ParkReason.choices)
    parked_until = models.DateTimeField(null=True)  # null with a reason: until somebody or a check lifts it
    ambiguous_streak = models.IntegerField(default=0)
    probe_seconds = models.FloatField(default=0)  # 0: not probing; else the present back-off between probes
    probe_at = models.DateTimeField(null=True)
    probes_wanted = models.SmallIntegerField(
        default=0
    )  # answered ones in a row that end a partial outage; 0: the first does

    class Meta:
        db_table = "delivery_account_pace"

    def __str__(self) -> str:
        return f"pace of account {self.account_id}"


class AccountUsage(models.Model):
    """Recipients handed over per minute: the rolling 24 hours that the provider counts, too."""

    pk = models.CompositePrimaryKey("account_id", "minute")
    account_id = models.BigIntegerField()
    minute = models.DateTimeField()
    n = models.IntegerField(default=0)

    class Meta:
        db_table = "delivery_account_usage"

    def __str__(self) -> str:
        return f"account {self.account_id} {self.minute:%H:%M}: {self.n}"


class AccountTurn(models.Model):
    """Whose turn it is: within a lane, the organization with the least virtual time that has due work."""

    pk = models.CompositePrimaryKey("account_id", "lane", "organization_id")
    account_id = models.BigIntegerField()  # 0: dry runs
    lane = models.SmallIntegerField()
    organization_id = models.BigIntegerField()
    vtime = models.FloatField(default=0)
    weight = models.FloatField(default=1)

    class Meta:
        db_table = "delivery_account_turn"

    def __str__(self) -> str:
        return f"turn of organization {self.organization_id}"
