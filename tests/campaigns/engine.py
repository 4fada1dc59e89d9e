"""The engine in a thread of the test, in place of worker processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections

from delivery.engine import ticking
from delivery.engine.database import open_connection
from delivery.engine.loop import EngineLoop, Runners


@contextmanager
def running_engine(make_runner: Runners) -> Iterator[None]:
    """Tick and send until the block ends."""
    stop = threading.Event()

    def run() -> None:
        loop = EngineLoop(make_runner=make_runner, connect=open_connection, stop=stop)
        try:
            while not stop.is_set():
                with open_connection() as connection:
                    ticking.tick(connection, slots=1)
                loop.run_slice(slots=1, seconds=0.5)
                time.sleep(0.05)
        finally:
            loop.close()
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
