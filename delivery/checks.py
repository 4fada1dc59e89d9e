"""System checks about accounts, which run with `check --database default` as they ask it, and about DNS servers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 - Django's word for it
from django.db import DatabaseError

from delivery.domains.lookup import ServerError, parse_server
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


@register
def dns_servers(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[CheckMessage]:
    """Settings that name no DNS servers."""
    found: list[CheckMessage] = []
    for server in settings.DNS_RESOLVERS:
        try:
            parse_server(server)
        except ServerError as error:
            found.append(
                Error(
                    f"DNS_RESOLVERS: {error}.",
                    hint="Write such as 192.0.2.53 or [2001:db8::53]:5353.",
                    id="amazonsender.E021",
                )
            )
    return found
