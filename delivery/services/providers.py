"""The provider of an account, made once per process."""

from __future__ import annotations

import os
from typing import Any

import orjson
from django.conf import settings
from django.utils.translation import gettext as _

from amazonsender.core.errors import InvalidInput
from amazonsender.core.sealing import SealBrokenError, unseal
from delivery.models import SendingAccount
from delivery.providers.base import PermanentError, Provider
from delivery.providers.registry import create_provider
from delivery.providers.ses import SesProvider
from delivery.providers.ses.sns import SnsTopics
from delivery.providers.ses.statistics import SesStatistics

_providers: dict[tuple[int, int, str], tuple[dict[str, Any], Provider]] = {}


def provider_for(account: SendingAccount) -> Provider:
    """The adapter of an account, with its connections; another one when what it is made from has changed.

    Keyed by process, so that no socket crosses a fork. Raises PermanentError for credentials that can't be read.
    """
    config = _config(account)
    key = (os.getpid(), account.pk, account.provider)
    known = _providers.get(key)
    if known is not None and known[0] == config:
        return known[1]
    provider = create_provider(account.provider, **config)
    _providers[key] = config, provider
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


def statistics_for(account: SendingAccount) -> SesStatistics:
    """Amazon's own count of an SES account."""
    return SesStatistics(**_config(account))


def _config(account: SendingAccount) -> dict[str, Any]:
    """Local accounts talk to Local SES with its own keys and never look for Amazon's; those at Amazon use the provider's
    own chain (environment, shared files, instance role); the others what their owner entered."""
    if account.provider != "ses":
        variant = {"variant": account.variant} if account.variant else {}
        return {**variant, **options_of(account)}
    if not account.is_local:
        return {"region": account.region, "endpoint_url": settings.SES_ENDPOINT_URL or None}
    if not settings.LOCALSES_URL:  # or the adapter would go to Amazon instead
        raise PermanentError(_("Local SES is not configured: set LOCALSES_URL."))
    return {
        "region": account.region,
        "endpoint_url": settings.LOCALSES_URL,
        "access_key": settings.LOCALSES_ACCESS_KEY,
        "secret_key": settings.LOCALSES_SECRET_KEY,
    }


def options_of(account: SendingAccount) -> dict[str, Any]:
    """What was entered to connect an account, secrets included. Raises PermanentError when they can't be read."""
    if not account.sealed_options:
        return dict(account.options)
    try:
        return {**account.options, **orjson.loads(unseal(account.sealed_options))}
    except SealBrokenError as error:
        raise PermanentError(
            _("The account’s secrets were sealed with another SECRET_KEY: enter them again.")
        ) from error


def forget_providers() -> None:
    """Close and forget what was made in this process: credentials or endpoints changed."""
    for _known, provider in _providers.values():
        provider.close()
    _providers.clear()
