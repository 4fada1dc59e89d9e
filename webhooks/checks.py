"""System checks about the doors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, register

from delivery.providers.base import PermanentError
from delivery.providers.ses.sqs import parse_queue_url

MIN_KEY_LENGTH: Final = 32


@register(deploy=True)
def firehose_without_a_key(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[CheckMessage]:
    """A door without a key is shut. With `check --deploy` alone, since most installations want no such door."""
    if settings.FIREHOSE_ACCESS_KEYS:
        return []
    return [
        Info(
            "FIREHOSE_ACCESS_KEYS is empty, so that /webhooks/firehose/ answers 404.",
            hint="Nothing to do unless a Firehose stream is to bring events: docs/ses.md.",
            id="amazonsender.I030",
        )
    ]


@register
def short_firehose_keys(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[CheckMessage]:
    """A short key could be guessed."""
    if all(len(key) >= MIN_KEY_LENGTH for key in settings.FIREHOSE_ACCESS_KEYS):
        return []
    return [
        Error(
            f"A key of FIREHOSE_ACCESS_KEYS is shorter than {MIN_KEY_LENGTH} characters: whoever guesses it invents events.",
            hint="Make one with python -c 'import secrets; print(secrets.token_urlsafe(32))'.",
            id="amazonsender.E030",
        )
    ]


@register
def queue_addresses(app_configs: Sequence[AppConfig] | None, **options: Any) -> list[CheckMessage]:
    """Addresses that can't be those of queues."""
    found: list[CheckMessage] = []
    for url in settings.EVENT_QUEUE_URLS:
        try:
            parse_queue_url(url)
        except PermanentError as error:
            found.append(
                Error(
                    f"EVENT_QUEUE_URLS: {error}.",
                    hint="aws sqs get-queue-url --queue-name … prints it.",
                    id="amazonsender.E031",
                )
            )
    return found
