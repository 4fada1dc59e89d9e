"""Storing what came in bulk: all of it in one statement, unless PostgreSQL refuses a message."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from django.db import DatabaseError, InterfaceError, OperationalError

from delivery.services.events import ProviderMessage, store_provider_messages

logger = structlog.get_logger(__name__)


def store_together(messages: Sequence[ProviderMessage]) -> int:
    """Store in one statement, and one by one where PostgreSQL refuses a message rather than be in trouble itself.

    Returns how many were new and can be processed. Raises Django's OperationalError and InterfaceError.
    """
    try:
        return store_provider_messages(messages)
    except (OperationalError, InterfaceError):
        raise
    except DatabaseError:
        logger.exception("webhooks.batch_refused")
        return sum(_store_alone(message) for message in messages)


def _store_alone(message: ProviderMessage) -> int:
    try:
        return store_provider_messages([message])
    except (OperationalError, InterfaceError):
        raise
    except DatabaseError as error:
        return store_provider_messages([message._replace(problem=f"{type(error).__name__}: {error}"[:500])])
