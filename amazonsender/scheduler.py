"""The scheduler of django-celery-beat, for machines whose clocks are set, or differ from those of others."""

from __future__ import annotations

from datetime import datetime

from celery.schedules import schedstate
from celery.utils.time import maybe_make_aware
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry


class Entry(ModelEntry):  # type: ignore[misc] # django-celery-beat has no types
    """A periodic task that does not wait until the clock reaches a last run that lies ahead of it.

    A clock was set back, or the scheduler moved to a machine whose clock is behind: without this the tick would stand
    still for the difference.
    """

    last_run_at: datetime

    def is_due(self) -> schedstate:
        now = self._default_now()
        if maybe_make_aware(self.last_run_at) > now:
            self.last_run_at = now
        state: schedstate = super().is_due()
        return state


class Scheduler(DatabaseScheduler):  # type: ignore[misc] # likewise
    Entry = Entry
