"""What wakes campaigns up."""

from __future__ import annotations

from celery import shared_task

from amazonsender.core.enqueue import WAKE_EXPIRES_SECONDS
from campaigns.services.scheduling import launch_due_campaigns


@shared_task(name="campaigns.tasks.launch_due", expires=WAKE_EXPIRES_SECONDS)
def launch_due() -> None:
    """Launch the campaigns whose time has come."""
    launch_due_campaigns()


PERIODIC = {"campaigns: launch what is due": ("campaigns.tasks.launch_due", 15)}
