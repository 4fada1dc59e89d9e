from __future__ import annotations

import datetime
from typing import Final

from django.db import transaction
from django.utils.translation import gettext as _

from amazonsender.core.errors import Conflict, InvalidInput
from organizations.access import access
from organizations.models import Member, Organization, Role, SystemEmailPurpose, User
from organizations.permissions import require
from organizations.services.audit import record
from organizations.services.invitations import withdraw_unbacked
from organizations.services.letters import Letter, removed_letter, role_changed_letter
from organizations.services.system_emails import has_way_out, queue

NOTICE_USEFUL_FOR: Final = datetime.timedelta(days=1)


def change_role(*, actor: Member, member_id: int, role: str) -> Member:
    """Give a member of the actor's organization another role.

    Raises NotFound for a member of another organization, Forbidden without the permission (only owners make or unmake
    owners), InvalidInput for a role that doesn't exist, Conflict when nobody would own the organization any more.
    """
    require(actor, "team:edit")
    with transaction.atomic():
        # The lock on the organization makes "the last owner" one question at a time.
        organization = Organization.objects.select_for_update().get(pk=actor.organization_id)
        member = access(Member.objects.select_related("user"), organization=organization, pk=member_id)
        if role not in Role.values:
            raise InvalidInput(_("There is no such role."))
        if member.role == role:
            return member
        if Role.OWNER in (member.role, role):
            require(actor, "team:edit_owners")
        _keep_an_owner(member)
        before = member.role
        member.role = role
        member.save(update_fields=["role"])
        record(
            organization=organization,
            actor=actor.user,
            action="member.role_changed",
            target=member,
            before=before,
            after=role,
            withdrawn_invitations=withdraw_unbacked(organization=organization, inviter=member.user, role=role),
        )
        if member.user_id != actor.user_id:
            letter = role_changed_letter(member.user, organization=organization, role=role, actor=actor.user)
            _notify(organization, member.user, SystemEmailPurpose.ROLE_CHANGED, letter)
    return member


def remove_member(*, actor: Member, member_id: int) -> None:
    """Take somebody out of the actor's organization. Their account and their other organizations stay.

    Raises as `change_role` does.
    """
    require(actor, "team:edit")
    with transaction.atomic():
        organization = Organization.objects.select_for_update().get(pk=actor.organization_id)
        member = access(Member.objects.select_related("user"), organization=organization, pk=member_id)
        if member.role == Role.OWNER:
            require(actor, "team:edit_owners")
        _keep_an_owner(member)
        record(
            organization=organization,
            actor=actor.user,
            action="member.removed",
            target=member,
            user=member.user_id,
            role=member.role,
            withdrawn_invitations=withdraw_unbacked(organization=organization, inviter=member.user, role=""),
        )
        if member.user_id != actor.user_id:
            letter = removed_letter(member.user, organization=organization, actor=actor.user)
            _notify(organization, member.user, SystemEmailPurpose.REMOVED, letter)
        member.delete()


def set_language(*, user: User, language: str) -> None:
    """Choose the language of the admin for one person. Raises InvalidInput for one we don't speak."""
    if language not in dict(User._meta.get_field("language").choices or ()):
        raise InvalidInput(_("There is no such language."))
    User.objects.filter(pk=user.pk).update(language=language)


def _notify(organization: Organization, user: User, purpose: SystemEmailPurpose, letter: Letter) -> None:
    """Nobody asked for this letter: where own mail has no way out, it is missed by nobody."""
    if has_way_out():
        queue(purpose=purpose, to=user.email, letter=letter, useful_for=NOTICE_USEFUL_FOR, organization=organization)


def _keep_an_owner(member: Member) -> None:
    if member.role != Role.OWNER:
        return
    others = Member.objects.filter(organization_id=member.organization_id, role=Role.OWNER).exclude(pk=member.pk)
    if not others.exists():
        raise Conflict(_("Somebody has to own the organization. Make somebody else an owner first."))
