"""What wakes campaigns up."""

from __future__ import annotations

from celery import shared_task

from campaigns.services.scheduling import launch_due_campaigns


@shared_task(name="campaigns.tasks.launch_due", expires=15)
def launch_due() -> None:
    """Launch the campaigns whose time has come."""
    launch_due_campaigns()


PERIODIC = {"campaigns: launch what is due": ("campaigns.tasks.launch_due", 15)}
