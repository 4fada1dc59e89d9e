"""Keys of programs. The secret is shown once; the table holds its digest."""

from __future__ import annotations

import datetime
import hashlib
import secrets
from collections.abc import Iterable
from typing import Final

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from amazonsender.core.errors import Conflict, InvalidInput
from organizations.access import access
from organizations.models import ApiKey, Member, Organization, User
from organizations.permissions import API_SCOPES, PERMISSIONS, require
from organizations.services.audit import record

MARK: Final = "ask_"  # so that secret scanners and people recognise one
SHOWN: Final = len(MARK) + 6
USED_EVERY: Final = datetime.timedelta(minutes=1)


def create_api_key(*, member: Member, name: str, scopes: Iterable[str], days: int | None = None) -> tuple[ApiKey, str]:
    """Make a key for the member's organization; returns it with its secret, which nobody can show again.

    Raises Forbidden for a role that may not, or a scope the role does not have itself; InvalidInput for the rest.
    """
    require(member, "api_key:edit")
    wanted = checked_scopes(scopes)
    for scope in wanted:
        require(member, scope)
    return issue_api_key(organization=member.organization, name=name, scopes=wanted, days=days, actor=member.user)


@transaction.atomic
def issue_api_key(
    *, organization: Organization, name: str, scopes: Iterable[str], days: int | None, actor: User | None
) -> tuple[ApiKey, str]:
    """The same for an operator, who asks no role."""
    title = " ".join(name.split())
    if not title or len(title) > 120:
        raise InvalidInput(_("Give the key a name of at most 120 characters: what it is for."))
    if days is not None and not 1 <= days <= 3650:
        raise InvalidInput(_("A key lives for 1 to 3650 days."))
    wanted = checked_scopes(scopes)
    secret = MARK + secrets.token_urlsafe(32)
    key = ApiKey.objects.create(
        organization=organization,
        name=title,
        prefix=secret[:SHOWN],
        digest=digest_of(secret),
        scopes=wanted,
        created_by=actor,
        expires_at=timezone.now() + datetime.timedelta(days=days) if days else None,
    )
    record(organization=organization, actor=actor, action="api_key.created", target=key, scopes=wanted)
    return key, secret


@transaction.atomic
def revoke_api_key(*, member: Member, pk: int) -> ApiKey:
    """Close a key for good; it holds from the next request on. Raises NotFound, or Conflict when it is closed already."""
    require(member, "api_key:edit")
    key = access(ApiKey.objects, organization=member.organization, pk=pk)
    if not ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now()):
        raise Conflict(_("This key is closed already."))
    record(organization=member.organization, actor=member.user, action="api_key.revoked", target=key)
    return key


def find_api_key(secret: str) -> ApiKey | None:
    """The key of a secret, if it still opens. Found by the digest of 32 random bytes, so that timing tells nothing."""
    now = timezone.now()
    key = (
        ApiKey.objects.select_related("organization")
        .filter(Q(expires_at=None) | Q(expires_at__gt=now), digest=digest_of(secret), revoked_at=None)
        .first()
    )
    if key is not None and (key.last_used_at is None or now - key.last_used_at > USED_EVERY):
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    return key


def digest_of(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def checked_scopes(scopes: Iterable[str]) -> list[str]:
    """The scopes in the order of the table, with `view` wherever something else of the resource is given."""
    given = set(scopes)
    unknown = given - set(API_SCOPES)
    if unknown:
        raise InvalidInput(_("There is no scope called %(scope)s.") % {"scope": sorted(unknown)[0]})
    if not given:
        raise InvalidInput(_("Choose what the key may do."))
    given |= {view for scope in given if (view := f"{scope.partition(':')[0]}:view") in PERMISSIONS}
    return [scope for scope in API_SCOPES if scope in given]
