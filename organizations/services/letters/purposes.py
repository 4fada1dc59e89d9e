"""The letters. Each is written in the language of whoever gets it, in words that need no case or gender of a name."""

from __future__ import annotations

from django.urls import reverse
from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from organizations.models import Invitation, Organization, Role, User
from organizations.selectors.members import language_of
from organizations.services.letters.composing import Button, Letter, absolute, compose


def invitation_letter(invitation: Invitation, *, token: str, language: str) -> Letter:
    """Somebody may join; the link works once, until the invitation expires."""
    organization = invitation.organization
    with translation.override(language), timezone.override(organization.zone):
        names = {
            "organization": organization.name,
            "role": str(Role(invitation.role).label),
            "inviter": str(invitation.invited_by),
        }
        until = date_format(timezone.localtime(invitation.expires_at), "DATETIME_FORMAT")
        return compose(
            subject=_("Join “%(organization)s” on AmazonSender") % names,
            headline=_("“%(organization)s” would like you in the team.") % names,
            paragraphs=[
                _("Invited by %(inviter)s. Your role: %(role)s.") % names,
                _("AmazonSender is where the team writes its emails, sends them, and sees what became of them."),
            ],
            button=Button(_("Look at the invitation"), absolute(reverse("invitation", args=[token]))),
            small=[
                _("The link works once, until %(until)s (%(zone)s).")
                % {"until": until, "zone": organization.time_zone},
                _("You don’t know these people? Then leave it: nothing happens without the link."),
            ],
        )


def new_password_letter(user: User, *, path: str, minutes: int) -> Letter:
    """A link to a page that sets a new password."""
    with translation.override(language_of(user)):
        return compose(
            subject=_("A new password for AmazonSender"),
            headline=_("Choose a new password."),
            paragraphs=[_("Somebody, most likely you, asked for this at the sign-in page.")],
            button=Button(_("Choose a new password"), absolute(path)),
            small=[
                ngettext("The link works once, for %(n)d minute.", "The link works once, for %(n)d minutes.", minutes)
                % {"n": minutes},
                _("It was not you? Then leave it: your password stays as it is."),
            ],
        )


def sign_in_letter(user: User, *, path: str) -> Letter:
    """A link that signs in once."""
    with translation.override(language_of(user)):
        return compose(
            subject=_("Your link to AmazonSender"),
            headline=_("One press and you are in."),
            paragraphs=[_("Somebody, most likely you, asked for this at the sign-in page.")],
            button=Button(_("Sign in"), absolute(path)),
            small=[
                _("The link works once, for a day."),
                _("It was not you? Then leave it, and give the link to nobody."),
            ],
        )


def password_changed_letter(user: User) -> Letter:
    """So that whoever did not do it hears of it."""
    with translation.override(language_of(user)):
        return compose(
            subject=_("Your password for AmazonSender was changed"),
            headline=_("Your password was changed."),
            paragraphs=[
                _("It was you? Then there is nothing to do. Every other device has been signed out."),
                _("It was not you? Then choose a new one now: that signs everybody out."),
            ],
            button=Button(_("Choose a new password"), absolute(reverse("password_forgotten"))),
        )


def role_changed_letter(user: User, *, organization: Organization, role: str, actor: User) -> Letter:
    """role: the new one, one of Role's values."""
    with translation.override(language_of(user, organization)):
        names = {"organization": organization.name, "role": str(Role(role).label), "actor": str(actor)}
        return compose(
            subject=_("Your role in “%(organization)s” was changed") % names,
            headline=_("Your role is now: %(role)s.") % names,
            paragraphs=[_("Changed in “%(organization)s” by %(actor)s.") % names],
            button=Button(_("Open AmazonSender"), absolute(reverse("admin:index"))),
        )


def removed_letter(user: User, *, organization: Organization, actor: User) -> Letter:
    """The account stays, the organization is closed to it."""
    with translation.override(language_of(user, organization)):
        names = {"organization": organization.name, "actor": str(actor)}
        return compose(
            subject=_("You are no longer in “%(organization)s”") % names,
            headline=_("You are no longer in the team of “%(organization)s”.") % names,
            paragraphs=[
                _("Changed by %(actor)s.") % names,
                _("Your account stays, and so does what you are part of elsewhere."),
            ],
        )
