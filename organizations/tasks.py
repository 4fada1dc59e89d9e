"""Periodic work of organizations."""

from __future__ import annotations

from typing import Final

from celery import shared_task

from amazonsender.core.enqueue import WAKE_EXPIRES_SECONDS
from organizations.services.idempotency import purge_answers


@shared_task(name="organizations.tasks.purge_idempotent_answers", ignore_result=True, expires=WAKE_EXPIRES_SECONDS)
def purge_idempotent_answers() -> None:
    """Delete answers that nobody can ask for again."""
    purge_answers()


PERIODIC: Final = {"organizations: purge of idempotent answers": (purge_idempotent_answers, 3600)}
