"""Providers by name: one line each.

What an account of a provider needs is said by the provider's class itself, so that forms, commands and webhooks need no
line per provider.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from delivery.providers.base import ConnectableProvider, Inbound, PermanentError, Provider

# Imported when asked for: an installation pays only for the provider that it uses.
FACTORIES = {
    "ses": "delivery.providers.ses:SesProvider",
    "anymail": "delivery.providers.anymail:AnymailProvider",
    "smtp": "delivery.providers.smtp:SmtpProvider",
}


def provider_class(name: str) -> type[ConnectableProvider]:
    """The class of the provider called `name`. Raises PermanentError for an unknown name."""
    path = FACTORIES.get(name)
    if path is None:
        raise PermanentError(f"{name!r} is no provider; there are: {', '.join(sorted(FACTORIES))}")
    found: type[ConnectableProvider] = _load(path)
    return found


def create_provider(name: str, **config: Any) -> Provider:
    """Make the provider called `name` from its constructor's arguments. Raises PermanentError for an unknown name."""
    return provider_class(name)(**config)


def inbound_of(name: str) -> Inbound | None:
    """How the provider's events come over HTTP; None where they don't, or come in a way of their own."""
    path = provider_class(name).inbound
    inbound: Inbound | None = _load(path)() if path else None
    return inbound


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
