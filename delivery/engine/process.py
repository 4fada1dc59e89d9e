"""The engine loop of this worker process, made after the fork and remade when the process id changed."""

from __future__ import annotations

import gc
import os
import threading
from functools import partial
from queue import SimpleQueue

import structlog

from delivery.engine.calls import Call
from delivery.engine.database import open_connection
from delivery.engine.loop import EngineLoop
from delivery.engine.runner import AccountRunner
from delivery.engine.simulating import SimulatedProvider
from delivery.models import AccountPace, ParkReason, SendingAccount
from delivery.providers.base import ProviderError
from delivery.services.providers import provider_for

logger = structlog.get_logger(__name__)

stop_requested = threading.Event()
_loop: EngineLoop | None = None
_connected: list[tuple[object, ...]] = []

WHAT_CONNECTS = ("pk", "provider", "variant", "options", "sealed_options", "region", "calls_in_flight")
SIMULATING_THREADS = 1
YOUNG_OBJECTS = 20_000


def make_runner(account_id: int, results: SimpleQueue[Call]) -> AccountRunner | None:
    """The runner of an account; 0 stands for dry runs. An account whose provider can't be made waits for its owner."""
    make = partial(AccountRunner, account_id, results=results, connect=open_connection)
    if account_id == 0:
        return make(SimulatedProvider(), threads=SIMULATING_THREADS)
    account = SendingAccount.objects.filter(pk=account_id).first()
    if account is None:
        return None
    try:
        provider = provider_for(account)
    except ProviderError as error:
        logger.warning("delivery.account_not_usable", account=account_id, error=str(error))
        AccountPace.objects.filter(account=account_id, parked_reason="").update(parked_reason=ParkReason.MISCONFIGURED)
        return None
    return make(provider, threads=account.calls_in_flight)


def engine_loop() -> EngineLoop:
    """The loop of this process. Sockets, threads and database connections never cross a fork.

    Between two slices nothing is in flight: where an account was connected otherwise meanwhile, a new loop begins, with
    providers that know.
    """
    global _loop, _connected
    connected = list(SendingAccount.objects.order_by("pk").values_list(*WHAT_CONNECTS))
    if _loop is not None and _loop.pid == os.getpid() and connected != _connected:
        _loop.close()
        _loop = None
    if _loop is None or _loop.pid != os.getpid():
        _spare_collections()
        _loop = EngineLoop(make_runner=make_runner, connect=open_connection, stop=stop_requested)
    _connected = connected
    return _loop


def _spare_collections() -> None:
    """Look for cyclic garbage more rarely, and never again among what is loaded already.

    A call's fifty entries are thousands of objects without a cycle; at the default of 700 collecting them cost a
    twentieth of all sending.
    """
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 100)
