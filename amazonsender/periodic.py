"""Periodic tasks: each app lists its own in `tasks.PERIODIC`; they are written to the scheduler's tables after migrating."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.apps import apps

APPS = ("organizations", "subscribers", "delivery", "campaigns", "analytics", "webhooks")


def declared() -> dict[str, tuple[str, int]]:
    """Name to (task, seconds) of every periodic task that an app declares."""
    found: dict[str, tuple[str, int]] = {}
    for app in APPS:
        for module in ("tasks", "event_tasks"):
            try:
                periodic = getattr(import_module(f"{app}.{module}"), "PERIODIC", {})
            except ModuleNotFoundError as error:
                if error.name != f"{app}.{module}":
                    raise
            else:
                found |= {
                    name: (task if isinstance(task, str) else task.name, every)
                    for name, (task, every) in periodic.items()
                }
    return found


def sync_periodic_tasks(**_kwargs: Any) -> None:
    """Create what is missing, correct what changed, leave what an operator switched off switched off."""
    schedule_model = apps.get_model("django_celery_beat", "IntervalSchedule")
    task_model = apps.get_model("django_celery_beat", "PeriodicTask")
    for name, (task, seconds) in declared().items():
        schedule, _made = schedule_model.objects.get_or_create(every=seconds, period="seconds")
        task_model.objects.update_or_create(name=name, defaults={"task": task, "interval": schedule})
