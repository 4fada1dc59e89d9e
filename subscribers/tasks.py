"""The alarm clock of imports. What is due stands in the database; a task delivered twice finds it claimed."""

from __future__ import annotations

from typing import Final

from celery import shared_task

from amazonsender.core.enqueue import enqueue
from subscribers.services import importing

# Well below the broker's visibility timeout of 60 s while merging. Reading can't be cut; a task that is delivered again
# meanwhile ends at once.
SLICE_SECONDS = 25
_MAX_WOKEN = 20


@shared_task(name="subscribers.tasks.run_import")
def run_import(import_id: int) -> None:
    """Work on an import for a while and wake the next slice."""
    if importing.run_import(import_id=import_id, max_seconds=SLICE_SECONDS):
        enqueue(run_import, import_id)


@shared_task(name="subscribers.tasks.wake_imports")
def wake_imports() -> None:
    """Wake imports that nobody works on: the broker lost their task, or their worker died."""
    for import_id in importing.due_imports().values_list("id", flat=True)[:_MAX_WOKEN]:
        enqueue(run_import, import_id)


@shared_task(name="subscribers.tasks.discard_stale_imports")
def discard_stale_imports() -> None:
    """Delete uploaded files that nobody came back for."""
    importing.discard_stale_imports()


PERIODIC: Final = {"Wake imports": (wake_imports, 15), "Discard stale imports": (discard_stale_imports, 6 * 3600)}
