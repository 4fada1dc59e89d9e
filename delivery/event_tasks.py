"""The alarm clock of event processing. What is due stands in the inbox; the task may run twice, at once, or late."""

from __future__ import annotations

import time

from celery import shared_task

from amazonsender.core.enqueue import WAKE_EXPIRES_SECONDS, enqueue
from delivery.services.events.processing import BATCH
from delivery.services.events.processing import process_inbox as process_batch

SLICE_SECONDS = 8.0
WAKE_SECONDS = 0.25


@shared_task(name="delivery.tasks.process_inbox", ignore_result=True, expires=WAKE_EXPIRES_SECONDS)
def process_inbox() -> int:
    """Empty the inbox for some seconds; return how many messages were processed."""
    started = time.monotonic()
    done = 0
    while True:
        taken = process_batch(limit=BATCH)
        done += taken
        if taken < BATCH:
            return done
        if time.monotonic() - started > SLICE_SECONDS:
            enqueue(process_inbox, expires=WAKE_EXPIRES_SECONDS)
            return done


class _Alarm:
    """Rings once per quarter of a second and process, always after the message that set it was stored."""

    def __init__(self) -> None:
        self._rings_at = 0.0

    def set(self) -> None:
        now = time.monotonic()
        if now >= self._rings_at:
            self._rings_at = now + WAKE_SECONDS
            enqueue(process_inbox, countdown=WAKE_SECONDS, expires=WAKE_EXPIRES_SECONDS)


_alarm = _Alarm()


def wake_processor() -> None:
    """Have the inbox processed soon; cheap enough to be called after each stored message."""
    _alarm.set()


# Whatever a lost wake-up or a restarted broker left behind.
PERIODIC = {"delivery: process the inbox": ("delivery.tasks.process_inbox", 5)}
