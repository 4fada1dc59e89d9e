"""Who may do what: one table. A permission is named resource:action; Django's own permissions aren't used."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext as _

from amazonsender.core.errors import Forbidden
from organizations.models import Member, Role

OWNER: Final = frozenset({Role.OWNER})
RUNNERS: Final = frozenset({Role.OWNER, Role.ADMIN})
WRITERS: Final = frozenset({Role.OWNER, Role.ADMIN, Role.MARKETER})
EVERYBODY: Final = frozenset({Role.OWNER, Role.ADMIN, Role.MARKETER, Role.ANALYST})

PERMISSIONS: Final[dict[str, frozenset[Role]]] = {
    "organization:view": EVERYBODY,
    "organization:edit": RUNNERS,
    "team:view": EVERYBODY,
    "team:edit": RUNNERS,
    "team:edit_owners": OWNER,
    "audit:view": RUNNERS,
    "api_key:view": RUNNERS,
    "api_key:edit": RUNNERS,
    "account:view": EVERYBODY,
    "account:edit": RUNNERS,
    "account:set_up": OWNER,
    "account:statistics": OWNER,
    "subscriber:view": EVERYBODY,
    "subscriber:edit": WRITERS,
    "subscriber:import": WRITERS,
    "subscriber:export": WRITERS,
    "list:view": EVERYBODY,
    "list:edit": WRITERS,
    "suppression:view": EVERYBODY,
    "suppression:edit": WRITERS,
    "template:view": EVERYBODY,
    "template:edit": WRITERS,
    "campaign:view": EVERYBODY,
    "campaign:edit": WRITERS,
    "campaign:test": WRITERS,
    "campaign:send": WRITERS,
    "message:view": EVERYBODY,
    "message:export": WRITERS,
    "message:send_again": RUNNERS,
}

# What an API key can be given: the work with people and campaigns. Team, keys and accounts stay with people.
API_SCOPES: Final = (
    "subscriber:view",
    "subscriber:edit",
    "list:view",
    "list:edit",
    "suppression:view",
    "suppression:edit",
    "template:view",
    "template:edit",
    "campaign:view",
    "campaign:edit",
    "campaign:test",
    "campaign:send",
    "message:view",
)


def may(member: Member | None, permission: str) -> bool:
    """Say whether the member's role has the permission. A name that isn't in the table is a bug: KeyError."""
    roles = PERMISSIONS[permission]
    return member is not None and member.role in roles


def require(member: Member | None, permission: str) -> None:
    """Raise Forbidden unless the member's role has the permission."""
    if not may(member, permission):
        raise Forbidden(_("Your role does not allow this. Ask an owner or an admin of the organization."))
