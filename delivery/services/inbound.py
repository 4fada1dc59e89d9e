"""How events of other providers than Amazon SES come back."""

from __future__ import annotations

from django.conf import settings
from django.urls import reverse

from delivery.models import SendingAccount
from delivery.providers.base import PermanentError
from delivery.providers.registry import inbound_of
from delivery.services.providers import options_of


def guard_of(account: SendingAccount) -> bool | None:
    """Whether an account's events are believed: their signature or secret is known. None where none are told."""
    inbound = inbound_of(account.provider)
    if inbound is None:
        return None
    try:
        return inbound.is_guarded({"variant": account.variant, **options_of(account)})
    except PermanentError:
        return False


def events_url(account: SendingAccount) -> str:
    """Where an account's provider reports to."""
    return f"{settings.PUBLIC_URL}{reverse('webhook_account', args=[account.pk])}"
