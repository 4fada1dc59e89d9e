"""The one way to wake a worker."""

from __future__ import annotations

from typing import Any

import structlog
from celery import Task, current_app
from django.db import transaction
from kombu.exceptions import OperationalError

from amazonsender.core.correlation import outgoing_headers

# Wake-ups that nobody took for so long are dropped, or a worker that was away for a day would find a day of them. Whoever
# takes one compares with his own clock, so this is how far clocks may be apart, and as far as Amazon's signatures allow.
WAKE_EXPIRES_SECONDS = 300.0
NEVER_SECONDS = 86_400.0  # a wake-up that waited for a day has been replaced by the tick long ago

logger = structlog.get_logger(__name__)


def enqueue(
    task: Task[Any, Any] | str, *args: int | str, countdown: float | None = None, expires: float | None = None
) -> None:
    """Enqueue a task after the present transaction commits; at once outside of one. Ids only.

    By name where the task's module is above the caller.

    A broker that is down loses nothing, since the periodic tick finds due work in the database: it is logged, not raised.
    """

    headers = outgoing_headers()

    def publish() -> None:
        try:
            options: dict[str, Any] = {
                "countdown": countdown or 0.0,
                "expires": expires or NEVER_SECONDS,
                "retry": False,
                "headers": headers,
            }
            if isinstance(task, str):  # management commands load no tasks, so the name is not looked up here
                current_app.send_task(task, args, **options)
            else:
                task.apply_async(args, **options)
        except (OperationalError, OSError) as error:
            logger.warning("enqueue.broker_unreachable", task=str(task), error=str(error))

    transaction.on_commit(publish)
