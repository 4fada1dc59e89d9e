"""The engine loop of this worker process, made after the fork and remade when the process id changed."""

from __future__ import annotations

import gc
import os
import threading
from functools import partial
from queue import SimpleQueue

from delivery.engine.calls import Call
from delivery.engine.database import open_connection
from delivery.engine.loop import EngineLoop
from delivery.engine.runner import AccountRunner
from delivery.engine.simulating import SimulatedProvider
from delivery.models import SendingAccount
from delivery.services.providers import provider_for

stop_requested = threading.Event()
_loop: EngineLoop | None = None

SIMULATING_THREADS = 1
YOUNG_OBJECTS = 20_000


def make_runner(account_id: int, results: SimpleQueue[Call]) -> AccountRunner | None:
    """The runner of an account; 0 stands for dry runs."""
    make = partial(AccountRunner, account_id, results=results, connect=open_connection)
    if account_id == 0:
        return make(SimulatedProvider(), threads=SIMULATING_THREADS)
    account = SendingAccount.objects.filter(pk=account_id).first()
    if account is None:
        return None
    return make(provider_for(account), threads=account.calls_in_flight)


def engine_loop() -> EngineLoop:
    """The loop of this process. Sockets, threads and database connections never cross a fork."""
    global _loop
    if _loop is None or _loop.pid != os.getpid():
        _spare_collections()
        _loop = EngineLoop(make_runner=make_runner, connect=open_connection, stop=stop_requested)
    return _loop


def _spare_collections() -> None:
    """Look for cyclic garbage more rarely, and never again among what is loaded already.

    A call's fifty entries are thousands of objects without a cycle; at the default of 700 collecting them cost a
    twentieth of all sending.
    """
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 100)
