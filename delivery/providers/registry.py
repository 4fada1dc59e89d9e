"""Providers by name: one line each."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from delivery.providers.base import PermanentError, Provider

# Imported when asked for: an installation pays only for the provider that it uses.
FACTORIES = {
    "ses": "delivery.providers.ses:SesProvider",
}


def create_provider(name: str, **config: Any) -> Provider:
    """Make the provider called `name` from its constructor's arguments. Raises PermanentError for an unknown name."""
    path = FACTORIES.get(name)
    if path is None:
        raise PermanentError(f"{name!r} is no provider; there are: {', '.join(sorted(FACTORIES))}")
    module, _, factory = path.partition(":")
    create: Callable[..., Provider] = getattr(import_module(module), factory)
    return create(**config)
