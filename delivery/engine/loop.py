"""The engine loop: some seconds over all accounts, in one process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from time import monotonic, sleep
from typing import Protocol
from uuid import uuid4

import psycopg
import structlog
from django.db import InterfaceError, OperationalError, close_old_connections

from delivery.engine.calls import Call
from delivery.engine.claiming import accounts_with_due_work
from delivery.engine.database import Connection
from delivery.engine.runner import AccountRunner
from delivery.engine.slots import free_slot, lease_slot

logger = structlog.get_logger(__name__)

SLICE_SECONDS = 8.0
DRAIN_SECONDS = 28.0  # longer than a call may take: start within 10 s, connect and read within 18 s
LOOK_EVERY_SECONDS = 0.5
IDLE_SECONDS = 0.3  # nothing due for so long ends the slice
DATABASE_PAUSE_SECONDS = 0.2
DATABASE_GONE = (psycopg.OperationalError, psycopg.InterfaceError, OperationalError, InterfaceError)


class Runners(Protocol):
    """Makes the runner of an account; None when the account is gone."""

    def __call__(self, account_id: int, results: SimpleQueue[Call]) -> AccountRunner | None: ...


class EngineLoop:
    """Keeps connection, threads and runners from slice to slice; belongs to the process that made it.

    `stop` is the flag that SIGTERM sets: nothing new is armed, what is in flight is settled, claims are handed back.
    """

    def __init__(self, *, make_runner: Runners, connect: Callable[[], Connection], stop: threading.Event) -> None:
        self.pid = os.getpid()
        self._make_runner = make_runner
        self._connect = connect
        self._stop = stop
        self._results: SimpleQueue[Call] = SimpleQueue()
        self._runners: dict[int, AccountRunner] = {}
        self._connection: Connection | None = None

    def run_slice(self, *, slots: int, seconds: float = SLICE_SECONDS) -> bool:
        """Run for about `seconds`. True when there may be more to do; False without a free slot or without due work."""
        connection = self._ready_connection()
        owner = uuid4()
        if lease_slot(connection, owner, slots=slots) is None:
            return False
        try:
            has_more = self._run(monotonic() + seconds)
            self._drain()
            for runner in self._runners.values():
                runner.release(self._ready_connection())
        finally:
            free_slot(self._ready_connection(), owner)
        return has_more

    def _ready_connection(self) -> Connection:
        if self._connection is None or self._connection.closed or self._connection.broken:
            self._connection = self._connect()
        return self._connection

    def _run(self, deadline: float) -> bool:
        looked_at = 0.0
        worked_at = monotonic()
        while (now := monotonic()) < deadline and not self._stop.is_set():
            try:
                if now - looked_at >= LOOK_EVERY_SECONDS:
                    looked_at = now
                    self._meet_accounts()
                has_worked = self._step_all(is_stopping=False)
            except DATABASE_GONE as error:
                # The runners know what is out and what came back, and nobody else does: wait for the database.
                self._wait_for_database(error)
                continue
            if has_worked:
                worked_at = monotonic()
            elif monotonic() - worked_at > IDLE_SECONDS and not any(
                runner.is_busy or runner.awaits_start for runner in self._runners.values()
            ):
                return any(runner.is_waiting for runner in self._runners.values())
            self._collect(self._pause(deadline))
        return True

    def _meet_accounts(self) -> None:
        for account_id in accounts_with_due_work(self._ready_connection()):
            if account_id not in self._runners:
                runner = self._make_runner(account_id, self._results)
                if runner is not None:
                    self._runners[account_id] = runner
            if account_id in self._runners:
                self._runners[account_id].expect_work()

    def _step_all(self, *, is_stopping: bool) -> bool:
        worked = False
        for runner in self._runners.values():
            if runner.is_due(monotonic(), is_stopping=is_stopping):
                self._connection = runner.step(self._ready_connection(), is_stopping=is_stopping)
                worked = worked or runner.has_progressed
        return worked

    def _pause(self, deadline: float) -> float:
        """How long to wait for a result: until the next runner wants to step."""
        now = monotonic()
        wake = min((runner.next_step_at(now) for runner in self._runners.values()), default=now + 0.05)
        return max(0.0, min(wake, deadline, now + 0.1) - now)

    def _collect(self, wait: float) -> None:
        try:
            call = self._results.get(timeout=wait) if wait > 0 else self._results.get_nowait()
            while True:
                self._runners[call.batch.account_id].finish(call)
                call = self._results.get_nowait()
        except Empty:
            return

    def _drain(self) -> None:
        """Settle everything that is out, arm nothing. What outlives the wait is left to the reaper."""
        deadline = monotonic() + DRAIN_SECONDS
        while any(runner.is_busy for runner in self._runners.values()) and monotonic() < deadline:
            self._collect(0.02)
            try:
                self._step_all(is_stopping=True)
            except DATABASE_GONE as error:
                self._wait_for_database(error)

    def _wait_for_database(self, error: Exception) -> None:
        logger.warning("delivery.database_gone", error=str(error))
        close_old_connections()
        sleep(DATABASE_PAUSE_SECONDS)

    def close(self) -> None:
        for runner in self._runners.values():
            runner.close()
        self._runners.clear()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
