from __future__ import annotations

import zoneinfo
from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from organizations.models.scoped import OrganizationQuerySet


def validate_time_zone(value: str) -> None:
    """Refuse what the system's time zone database does not know."""
    if value not in zoneinfo.available_timezones():
        raise ValidationError(
            _("“%(zone)s” is not a time zone. Use a name such as Europe/Riga."), params={"zone": value}
        )


class Organization(models.Model):
    """The tenant: everything else belongs to exactly one."""

    name = models.CharField(_("name"), max_length=120)
    postal_address = models.TextField(
        _("postal address"), blank=True, help_text=_("Shown in the footer of every campaign; the law asks for it.")
    )
    website = models.URLField(_("website"), blank=True)
    time_zone = models.CharField(_("time zone"), max_length=64, default="UTC", validators=[validate_time_zone])
    locale = models.CharField(
        _("language"), max_length=12, default="en", choices=[("en", "English"), ("ru", "Русский")]
    )
    sender_name = models.CharField(_("sender name"), max_length=120, blank=True)
    sender_email = models.EmailField(_("sender address"), blank=True)
    reply_to = models.EmailField(_("reply-to address"), blank=True)
    test_recipients = ArrayField(
        models.EmailField(),
        default=list,
        blank=True,
        verbose_name=_("test recipients"),
        help_text=_("They get test sends; they need not be subscribers."),
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("organization")
        verbose_name_plural = _("organizations")

    def __str__(self) -> str:
        return self.name

    @property
    def initials(self) -> str:
        """Two letters for the mark in the sidebar."""
        words = self.name.split()
        return "".join(word[0] for word in words[:2]).upper() or "?"

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        return zoneinfo.ZoneInfo(self.time_zone)


class Role(models.TextChoices):
    OWNER = "owner", _("Owner")
    ADMIN = "admin", _("Admin")
    MARKETER = "marketer", _("Marketer")
    ANALYST = "analyst", _("Analyst")


class Member(models.Model):
    """A user's place in an organization."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(_("role"), max_length=12, choices=Role.choices, default=Role.MARKETER)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[Member]] = OrganizationQuerySet["Member"].as_manager()

    class Meta:
        verbose_name = _("member")
        verbose_name_plural = _("team")
        constraints = [models.UniqueConstraint(fields=["organization", "user"], name="member_once_per_organization")]

    def __str__(self) -> str:
        return f"{self.user} ({self.get_role_display()})"
