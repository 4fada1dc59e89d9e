from __future__ import annotations

from django.db import models

from organizations.models import AuditEntry, Organization, User


def record(
    *,
    organization: Organization,
    actor: User | None,
    action: str,
    target: models.Model | None = None,
    **detail: str | int | float | bool | list[str] | list[int] | None,
) -> AuditEntry:
    """Write down who did what; None as the actor is the installation itself or a command.

    `action` is object.verb in the past, such as "campaign.scheduled". Details are ids, counts and names of fields,
    never addresses, bodies or secrets. Call it in the transaction of the act, so that neither exists alone.
    """
    return AuditEntry.objects.create(
        organization=organization,
        actor=actor,
        action=action,
        object_type=target._meta.model_name or "" if target is not None else "",
        object_id=str(target.pk) if target is not None else "",
        detail=detail,
    )
