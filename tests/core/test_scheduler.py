"""Periodic tasks and clocks that are set back."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from amazonsender.celery import app
from amazonsender.scheduler import Entry, Scheduler


@pytest.mark.django_db
def test_a_task_whose_last_run_lies_ahead_is_due_after_its_interval_not_when_the_clock_gets_there() -> None:
    now = timezone.now().replace(microsecond=0)
    schedule = IntervalSchedule.objects.create(every=2, period="seconds")
    task = PeriodicTask.objects.create(
        name="tick", task="delivery.tasks.tick", interval=schedule, last_run_at=now + timedelta(hours=1)
    )
    entry = Entry(task, app=app)

    with time_machine.travel(now, tick=False) as clock:
        first = entry.is_due()
        clock.shift(1)
        second = entry.is_due()
        clock.shift(1)
        third = entry.is_due()

    assert [state.is_due for state in (first, second, third)] == [False, False, True]
    assert (first.next, second.next) == (2, 1)
    assert Scheduler.Entry is Entry
