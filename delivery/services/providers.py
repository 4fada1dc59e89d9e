"""The provider of an account, made once per process."""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from amazonsender.core.errors import InvalidInput
from delivery.models import SendingAccount
from delivery.providers.base import Provider
from delivery.providers.registry import create_provider
from delivery.providers.ses import SesProvider
from delivery.providers.ses.sns import SnsTopics

_providers: dict[tuple[int, int, str, str], Provider] = {}


def provider_for(account: SendingAccount) -> Provider:
    """The adapter of an account, with its connections. Keyed by process, so that no socket crosses a fork."""
    config = _config(account)
    key = (os.getpid(), account.pk, account.region, str(config["endpoint_url"]))
    provider = _providers.get(key)
    if provider is None:
        provider = _providers[key] = create_provider(account.provider, **config)
    return provider


def administration_for(account: SendingAccount) -> SesProvider:
    """SES's set-up operations. Raises InvalidInput for an account of another provider."""
    provider = provider_for(account)
    if not isinstance(provider, SesProvider):
        raise InvalidInput(_("“%(account)s” is no Amazon SES account.") % {"account": account})
    return provider


def topics_for(account: SendingAccount) -> SnsTopics:
    """The SNS topics that bring an account's events. Another endpoint of SES is none of SNS."""
    return SnsTopics(**(_config(account) if account.is_local else {"region": account.region}))


def _config(account: SendingAccount) -> dict[str, Any]:
    """Local accounts talk to Local SES with its own keys and never look for Amazon's; real ones use the provider's own
    chain (environment, shared files, instance role)."""
    if not account.is_local:
        return {"region": account.region, "endpoint_url": settings.SES_ENDPOINT_URL or None}
    return {
        "region": account.region,
        "endpoint_url": settings.LOCALSES_URL,
        "access_key": settings.LOCALSES_ACCESS_KEY,
        "secret_key": settings.LOCALSES_SECRET_KEY,
    }


def forget_providers() -> None:
    """Close and forget what was made in this process: credentials or endpoints changed."""
    for provider in _providers.values():
        provider.close()
    _providers.clear()
