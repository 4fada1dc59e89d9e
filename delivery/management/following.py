"""Watching a mailout from a terminal, and its account as data."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError, connection
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from delivery.models import ExclusionReason, Mailout, MailoutState
from delivery.selectors.progress import Progress, mailout_account, mailout_progress

LOOK_SECONDS = 0.25
OUTAGE_SECONDS = 60.0  # how long a watcher waits for a database that restarts
FINISHED, UNDER_WAY, HELD = 0, 3, 4  # 1 and 2 are for commands that fail and for wrong arguments

Result = TypeVar("Result")


class StillRunning(Exception):
    """The mailout did not finish in time, is paused, or parked."""


def outlive_outage(read: Callable[[], Result]) -> Result:
    """Read, and read again while the database restarts: whoever only watches need not fail with it."""
    deadline = time.monotonic() + OUTAGE_SECONDS
    while True:
        try:
            return read()
        except (OperationalError, InterfaceError):
            if time.monotonic() > deadline:
                raise
            connection.close()
            time.sleep(LOOK_SECONDS)


def follow_mailout(mailout: Mailout, *, seconds: float, quiet: bool = False) -> Progress:
    """Show a progress bar until the mailout has finished. Raises StillRunning with what it waits for."""
    console = Console(stderr=True, quiet=quiet, highlight=False)
    bar = Bar(
        TextColumn("{task.description}"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        console=console,
        refresh_per_second=8,
    )
    deadline = time.monotonic() + seconds
    with bar:
        task = bar.add_task("Sending" if not mailout.is_dry_run else "Simulating", total=mailout.eligible, speed="")
        while True:
            progress = outlive_outage(lambda: mailout_progress(mailout))
            done = max(0, mailout.eligible - progress.waiting)
            bar.update(task, completed=done, speed=f"{progress.rate:,.0f}/s" if progress.rate else "")
            if not mailout.is_open:
                return progress
            if progress.state == MailoutState.PAUSED or _is_parked_for_good(progress):
                raise StillRunning(f"It is paused: {mailout.get_state_reason_display() or progress.parked_reason}.")
            if time.monotonic() > deadline:
                raise StillRunning(f"It is still running: {progress.waiting} people are waiting.")
            time.sleep(LOOK_SECONDS)


def exit_code(progress: Progress) -> int:
    """How a command that tells of a mailout ends: 0 finished, 3 under way, 4 waits for somebody or was stopped."""
    if progress.state == MailoutState.FINISHED:
        return FINISHED
    return UNDER_WAY if progress.state == MailoutState.SENDING and not _is_parked_for_good(progress) else HELD


def _is_parked_for_good(progress: Progress) -> bool:
    return bool(progress.parked_reason) and progress.parked_until is None


def account_data(mailout: Mailout) -> dict[str, Any]:
    """The exact account of a mailout as plain data; reasons by name."""
    account = mailout_account(mailout)
    took = (mailout.finished_at - mailout.frozen_at).total_seconds() if mailout.finished_at else None
    return {
        "mailout_id": mailout.pk,
        "name": mailout.name,
        "state": mailout.state,
        "state_reason": mailout.state_reason,
        "is_dry_run": mailout.is_dry_run,
        "candidates": account.candidates,
        "states": account.states,
        "excluded": {ExclusionReason(reason).name.lower(): people for reason, people in account.reasons.items()},
        "seconds": took,
    }


def account_lines(data: dict[str, Any]) -> list[str]:
    """The account as lines of text, those with somebody in them."""
    lines = [f"{'candidates':<24}{data['candidates']:>10,}"]
    lines += [f"  {name:<22}{people:>10,}" for name, people in data["states"].items() if people]
    lines += [f"    {name.replace('_', ' '):<20}{people:>10,}" for name, people in data["excluded"].items() if people]
    return lines
