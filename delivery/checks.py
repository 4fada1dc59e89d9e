"""System checks about accounts; they ask the database, so that they run with `check --database default`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Tags, Warning, register  # noqa: A004 - Django's word for it
from django.db import DatabaseError

from delivery.models import SendingAccount
from delivery.services.inbound import guard_of


@register(Tags.database)
def accounts_without_a_guard(
    app_configs: Sequence[AppConfig] | None, *, databases: Sequence[str] | None = None, **options: Any
) -> list[CheckMessage]:
    """Accounts whose reports nobody could believe, so that their address answers 404."""
    if not databases or "default" not in databases:
        return []
    try:
        accounts = list(SendingAccount.objects.exclude(provider="ses").order_by("pk"))
    except DatabaseError:  # nothing is migrated yet, or not all
        return []
    return [
        Warning(
            f"Sending account {account.pk} ({account.name}): no key or secret of its reports is known, so that "
            f"/webhooks/account/{account.pk}/ answers 404, and bounces and complaints are never learned.",
            hint="Enter the key that the service signs its reports with, or a secret, in the account's settings.",
            id="amazonsender.W020",
        )
        for account in accounts
        if guard_of(account) is False
    ]
