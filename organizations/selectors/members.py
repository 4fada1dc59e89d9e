from __future__ import annotations

from django.conf import settings

from organizations.models import Member, Organization, User


def member_for_session(*, user: User, organization_id: object) -> Member | None:
    """Return the membership a session works in: the chosen organization, else the one joined first."""
    members = list(Member.objects.filter(user=user).select_related("organization").order_by("pk"))
    for member in members:
        member.user = user  # the same person, without another query
        if member.organization_id == organization_id:
            return member
    return members[0] if members else None


def list_organizations(user: User) -> list[Organization]:
    """Return the organizations a user can switch to, by name."""
    return list(Organization.objects.filter(members__user=user).order_by("name", "pk"))


def list_members(organization: Organization) -> list[Member]:
    """Return the people of an organization in the order they joined."""
    return list(Member.objects.filter(organization=organization).select_related("user").order_by("pk"))


def language_of(user: User, organization: Organization | None = None) -> str:
    """In which language to write to somebody: their own choice, else the organization's or the first one they joined."""
    if user.language:
        return user.language
    if organization is None:
        organization = Organization.objects.filter(members__user=user).order_by("members__pk").first()
    return organization.locale if organization else settings.LANGUAGE_CODE


def find_person(email: str) -> User | None:
    """Whoever may sign in with this address: active, and in some organization."""
    return User.objects.filter(email=email.strip().lower(), is_active=True, memberships__isnull=False).first()
