from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from django.db import models

from organizations.models import AuditEntry, Organization, User

# The name of the API key that acts in this request; "" when a person, a command or the installation itself does.
acting_key: Final[ContextVar[str]] = ContextVar("acting_key", default="")


def record(
    *,
    organization: Organization,
    actor: User | None,
    action: str,
    target: models.Model | None = None,
    **detail: str | int | float | bool | list[str] | list[int] | None,
) -> AuditEntry:
    """Write down who did what; None as the actor is the installation itself, a command or an API key.

    `action` is object.verb in the past, such as "campaign.scheduled". Details are ids, counts and names of fields,
    never addresses, bodies or secrets. Call it in the transaction of the act, so that neither exists alone.
    """
    if key := acting_key.get():
        detail["api_key"] = key
    return AuditEntry.objects.create(
        organization=organization,
        actor=actor,
        action=action,
        object_type=target._meta.model_name or "" if target is not None else "",
        object_id=str(target.pk) if target is not None else "",
        detail=detail,
    )
