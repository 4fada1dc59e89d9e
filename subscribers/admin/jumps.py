from __future__ import annotations

from django.urls import reverse
from django.utils.translation import gettext as _

from organizations.admin.jump import Jump, jump_finder
from organizations.models import Member
from organizations.permissions import may
from subscribers.models import List, Subscriber

_MOST = 5


@jump_finder
def find_people_and_lists(member: Member, term: str) -> list[Jump]:
    """Find people by the start of their address, and lists by the start of their name."""
    found: list[Jump] = []
    if may(member, "subscriber:view") and len(term) > 1:
        people = Subscriber.objects.for_organization(member.organization).filter(address_key__startswith=term)
        found += [
            Jump(person.email, person.name or _("Subscriber"), _link("subscriber", person.pk), "person")
            for person in people.order_by("address_key")[:_MOST]
        ]
    if may(member, "list:view"):
        lists = List.objects.for_organization(member.organization).filter(name__istartswith=term)
        found += [Jump(one.name, _("List"), _link("list", one.pk), "list_alt") for one in lists[:_MOST]]
    return found


def _link(model: str, pk: int) -> str:
    return reverse(f"admin:subscribers_{model}_change", args=[pk])
