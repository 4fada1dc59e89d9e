from __future__ import annotations

from organizations.models import Organization, User


def is_operator(user: User | None) -> bool:
    """Say whether somebody runs the whole installation: the command line (None), a superuser, or anybody who may do a
    thing at all where there is one organization alone.

    What all organizations share, such as the provider's credentials in the environment, is an operator's to deal out.
    """
    return user is None or user.is_superuser or not has_several_organizations()


def has_several_organizations() -> bool:
    return len(Organization.objects.order_by("pk").values_list("pk")[:2]) > 1
