"""Inviting people: a letter with a link that works once. The table holds only its digest."""

from __future__ import annotations

import datetime
import hashlib
import secrets
from typing import Final

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from amazonsender.core.errors import Conflict, InvalidInput, NotFound
from organizations.access import access
from organizations.models import Invitation, Member, Organization, Role, SystemEmail, SystemEmailPurpose, User
from organizations.permissions import PERMISSIONS, require
from organizations.selectors.members import language_of
from organizations.services import system_emails
from organizations.services.audit import record
from organizations.services.letters import invitation_letter

LIFETIME: Final = datetime.timedelta(days=7)
USEFUL_FOR: Final = datetime.timedelta(days=1)  # the letter; the link lives longer
MOST_A_DAY: Final = 50  # letters of one organization, so that nobody floods strangers through us


def invite(*, actor: Member, email: str, role: str) -> Invitation:
    """Invite somebody into the actor's organization. Who was invited before gets a new link; the old one dies.

    Raises Forbidden without the permission (only owners invite owners), InvalidInput for no address, no role, a member,
    or an installation without own mail; Conflict for too many in a day.
    """
    require(actor, "team:edit")
    if role not in Role.values:
        raise InvalidInput(_("There is no such role."))
    if role == Role.OWNER:
        require(actor, "team:edit_owners")
    address = email.strip().lower()
    try:
        validate_email(address)
    except ValidationError:
        raise InvalidInput(_("“%(address)s” is no email address.") % {"address": address}) from None
    with transaction.atomic():
        organization = _locked_for_letters(actor)
        if Member.objects.filter(organization=organization, user__email=address).exists():
            raise InvalidInput(_("“%(address)s” is in the team already.") % {"address": address})
        invitation, _made = Invitation.objects.get_or_create(
            organization=organization,
            email=address,
            accepted_at=None,
            withdrawn_at=None,
            defaults={"role": role, "digest": secrets.token_bytes(32), "expires_at": timezone.now()},
        )
        if invitation.role == Role.OWNER:
            require(actor, "team:edit_owners")
        invitation.role = role
        _send(invitation, organization, actor)
        record(organization=organization, actor=actor.user, action="member.invited", target=invitation, role=role)
    return invitation


def invite_again(*, actor: Member, invitation_id: int) -> Invitation:
    """Send an open invitation's letter once more, with a new link and a new term. Raises as `invite` does, and NotFound."""
    require(actor, "team:edit")
    with transaction.atomic():
        organization = _locked_for_letters(actor)
        invitation = _open(organization, actor, invitation_id)
        _send(invitation, organization, actor)
        record(
            organization=organization,
            actor=actor.user,
            action="member.invited",
            target=invitation,
            role=invitation.role,
        )
    return invitation


def withdraw_invitation(*, actor: Member, invitation_id: int) -> Invitation:
    """Take an invitation back: its link opens nothing from now on. Raises Forbidden, NotFound."""
    require(actor, "team:edit")
    with transaction.atomic():
        organization = Organization.objects.select_for_update().get(pk=actor.organization_id)
        invitation = _open(organization, actor, invitation_id)
        invitation.withdrawn_at = timezone.now()
        invitation.save(update_fields=["withdrawn_at"])
        record(organization=organization, actor=actor.user, action="invitation.withdrawn", target=invitation)
    return invitation


def withdraw_unbacked(*, organization: Organization, inviter: User, role: str) -> int:
    """Take back what somebody invited to and may no longer; role: what they have now, "" for none. Returns how many.

    Or whoever is taken out would have let themselves in again by another address.
    """
    unbacked = Invitation.objects.for_organization(organization).filter(
        invited_by=inviter, accepted_at=None, withdrawn_at=None
    )
    if role in PERMISSIONS["team:edit_owners"]:
        return 0
    if role in PERMISSIONS["team:edit"]:
        unbacked = unbacked.filter(role=Role.OWNER)
    return unbacked.update(withdrawn_at=timezone.now())


def find_invitation(*, token: str) -> Invitation:
    """The open invitation of a link. Raises NotFound for one that is unknown, used, taken back or too old."""
    invitation = (
        Invitation.objects.select_related("organization", "invited_by")
        .filter(digest=_digest(token), accepted_at=None, withdrawn_at=None, expires_at__gt=timezone.now())
        .first()
    )
    if invitation is None:
        raise NotFound(_("It was used already, taken back, or is older than a week."))
    return invitation


def accept_invitation(*, token: str) -> Member:
    """Burn the link and make its holder a member; of two at the same moment, one wins.

    The letter proves the mailbox, as a sign-in link does: an account that exists is taken, else one is made. Raises
    NotFound as `find_invitation` does, and for an account that was shut out.
    """
    now = timezone.now()
    with transaction.atomic():
        invitation = find_invitation(token=token)
        still_open = Invitation.objects.filter(
            pk=invitation.pk, digest=invitation.digest, accepted_at=None, withdrawn_at=None, expires_at__gt=now
        )
        if not still_open.update(accepted_at=now):
            raise NotFound(_("It was used already, taken back, or is older than a week."))
        user = User.objects.filter(email=invitation.email).first() or User.objects.create_user(invitation.email)
        if not user.is_active:
            raise NotFound(_("This account was closed. Ask whoever runs the installation."))
        member, is_new = Member.objects.get_or_create(
            organization=invitation.organization, user=user, defaults={"role": invitation.role}
        )
        if is_new:
            record(
                organization=invitation.organization,
                actor=user,
                action="member.joined",
                target=member,
                role=member.role,
                invitation=invitation.pk,
            )
    return member


def _locked_for_letters(actor: Member) -> Organization:
    """The lock makes "how many today" and "is there one already" one question at a time."""
    if not system_emails.has_way_out():
        raise InvalidInput(
            _("This installation has no way to send mail of its own: set SYSTEM_EMAIL_PROVIDER, then invite again.")
        )
    organization = Organization.objects.select_for_update().get(pk=actor.organization_id)
    since = timezone.now() - datetime.timedelta(days=1)
    today = SystemEmail.objects.for_organization(organization).filter(
        purpose=SystemEmailPurpose.INVITATION, created_at__gt=since
    )
    if today.count() >= MOST_A_DAY:
        raise Conflict(_("%(n)d invitations in a day are the most. Invite the others tomorrow.") % {"n": MOST_A_DAY})
    return organization


def _open(organization: Organization, actor: Member, invitation_id: int) -> Invitation:
    """Raises NotFound, also for another organization's; Forbidden for an owner's without the permission."""
    open_ones = Invitation.objects.select_related("organization").filter(accepted_at=None, withdrawn_at=None)
    invitation = access(open_ones, organization=organization, pk=invitation_id)
    if invitation.role == Role.OWNER:
        require(actor, "team:edit_owners")
    return invitation


def _send(invitation: Invitation, organization: Organization, actor: Member) -> None:
    token = secrets.token_urlsafe(32)
    invitation.organization = organization
    invitation.digest = _digest(token)
    invitation.invited_by = actor.user
    invitation.expires_at = timezone.now() + LIFETIME
    known = User.objects.filter(email=invitation.email).first()
    language = language_of(known, organization) if known else organization.locale
    invitation.letter = system_emails.queue(
        purpose=SystemEmailPurpose.INVITATION,
        to=invitation.email,
        letter=invitation_letter(invitation, token=token, language=language),
        useful_for=USEFUL_FOR,
        organization=organization,
    )
    invitation.save()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
