"""The alarm clock. Tasks carry ids only, may run twice, and do a slice of some seconds; what is due stands in PostgreSQL."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from time import monotonic
from types import FrameType

import structlog
from billiard.process import active_children
from celery import shared_task
from celery.signals import worker_process_init, worker_shutting_down
from django.conf import settings
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from amazonsender.core.enqueue import WAKE_EXPIRES_SECONDS
from delivery.engine import home, process, ticking
from delivery.engine.database import open_connection
from delivery.models import Mailout, SendingAccount
from delivery.services.accounts import check_account, durability_problem
from delivery.services.launching import wake_engine
from delivery.services.partitions import ensure_partitions
from delivery.services.system_emails import sending as system_emails

logger = structlog.get_logger(__name__)

ASKING_SECONDS = 3.0


@shared_task(name="delivery.tasks.run_slice", ignore_result=True, acks_late=False)
def run_slice() -> None:
    """Run the engine for some seconds in one of the slots; enqueue only itself again while there is work.

    Acknowledged early: a slice that is lost leaves nothing behind that the tick does not find.
    """
    loop = process.engine_loop()
    with open_connection() as connection:
        if home.check_home(connection):
            return
    if loop.run_slice(slots=settings.ENGINE_SLOTS) and not process.stop_requested.is_set():
        wake_engine()


@shared_task(name="delivery.tasks.tick", ignore_result=True, expires=WAKE_EXPIRES_SECONDS)
def tick() -> None:
    """Every second: reap, brake, finish, wake."""
    with open_connection() as connection:
        if home.check_home(connection):
            return
        for _ in range(ticking.tick(connection, slots=settings.ENGINE_SLOTS)):
            wake_engine()


@shared_task(name="delivery.tasks.housekeep", ignore_result=True, expires=WAKE_EXPIRES_SECONDS)
def housekeep() -> None:
    """Every minute: the day's window, the accounts' health, partitions ahead of time, calls nobody asks for any more."""
    ensure_partitions(at=timezone.now())
    with open_connection() as connection:
        ticking.roll_day(connection)
        ticking.clear_old_calls(connection)
        problem = durability_problem(connection)
    _check_accounts(problem)


def _check_accounts(durability_problem: str) -> None:
    """Ask about the accounts that are sending first, then about those that were asked longest ago.

    For some seconds only, the rest the next time: a provider that hangs would keep the ticks behind this task waiting,
    one account after the other.
    """
    is_sending = Exists(Mailout.objects.filter(account=OuterRef("pk"), finished_at=None))
    longest_ago = F("checked_at").asc(nulls_first=True)
    started_at = monotonic()
    for account in SendingAccount.objects.order_by(is_sending.desc(), longest_ago, "pk"):
        check_account(account=account, durability_problem=durability_problem)
        if monotonic() - started_at > ASKING_SECONDS:
            return


@shared_task(name="delivery.tasks.send_system_emails", ignore_result=True, expires=WAKE_EXPIRES_SECONDS)
def send_system_emails() -> None:
    """Hand over the product's own letters that are due. Woken when one is queued, and every 15 seconds.

    A restored or copied database has letters that were sent already: it waits for `confirm_home`, as accounts do.
    """
    with open_connection() as connection:
        if home.check_home(connection):
            return
    system_emails.send_due()


@shared_task(name="delivery.tasks.purge_system_emails", ignore_result=True, expires=WAKE_EXPIRES_SECONDS)
def purge_system_emails() -> None:
    """Delete own letters that were over a month ago."""
    system_emails.purge()


PERIODIC = {
    "delivery: own mail": ("delivery.tasks.send_system_emails", 15),
    "delivery: purge of own mail": ("delivery.tasks.purge_system_emails", 3600),
    "delivery: tick": ("delivery.tasks.tick", 1),
    "delivery: housekeeping": ("delivery.tasks.housekeep", 60),
}


@worker_process_init.connect(weak=False)
def _start_child(**_kwargs: object) -> None:
    """A child of the prefork pool sets a flag on SIGUSR2: SIGTERM, which the pool resets to its default after this,
    would kill it with calls in flight."""
    process.stop_requested.clear()
    signal.signal(signal.SIGUSR2, _request_stop)


@worker_shutting_down.connect(weak=False)
def _stop(**_kwargs: object) -> None:
    """The parent begins a warm shutdown: children stop arming now instead of at the end of their slice."""
    process.stop_requested.set()
    for child in active_children():
        if child.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGUSR2)


def _request_stop(_signal: int, _frame: FrameType | None) -> None:
    process.stop_requested.set()
