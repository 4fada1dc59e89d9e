from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.db import connection, transaction

from organizations.models import Member, Organization, Role, User
from organizations.services.audit import record

BOOTSTRAP_LOCK: Final = 0x41530001  # PostgreSQL's advisory lock: two bootstraps at once make one organization


@dataclass(frozen=True)
class Bootstrapped:
    """The first organization and its owner; `is_new` says whether anything was created."""

    organization: Organization
    user: User
    is_new: bool


def bootstrap_organization(*, email: str, name: str, postal_address: str = "", time_zone: str = "UTC") -> Bootstrapped:
    """Make sure that the organization exists and that the user owns it. A second call changes nothing.

    1. Take the lock, so that two machines starting at once don't both create.
    2. Find or create the organization by its name and the user by the address.
    3. Make the user its owner: whoever runs commands on the server could anyway.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [BOOTSTRAP_LOCK])
        organization = Organization.objects.filter(name=name).order_by("pk").first()
        is_new = organization is None
        if organization is None:
            organization = Organization.objects.create(name=name, postal_address=postal_address, time_zone=time_zone)
        user = User.objects.filter(email=email.lower()).first() or User.objects.create_user(email)
        member, is_new_member = Member.objects.get_or_create(
            organization=organization, user=user, defaults={"role": Role.OWNER}
        )
        if not is_new_member and member.role != Role.OWNER:
            Member.objects.filter(pk=member.pk).update(role=Role.OWNER)
            is_new_member = True
        if is_new_member:
            record(organization=organization, actor=None, action="member.became_owner", target=member)
    return Bootstrapped(organization, user, is_new or is_new_member)


def update_organization(*, organization: Organization, actor: User, changes: dict[str, object]) -> None:
    """Save the changed fields of an organization; the values are validated by whoever calls."""
    if not changes:
        return
    for name, value in changes.items():
        setattr(organization, name, value)
    with transaction.atomic():
        organization.save(update_fields=sorted(changes))
        record(
            organization=organization,
            actor=actor,
            action="organization.changed",
            target=organization,
            fields=sorted(changes),
        )
