"""The running Local SES: its desk on a thread of its own, and the doors to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from starlette.requests import Request

from localses.api import OPERATIONS, SesDoor
from localses.config import Config, Settings
from localses.counting import OPERATIONS as COUNTING_OPERATIONS
from localses.courier_process import CourierProcess
from localses.desk import Desk, open_desk
from localses.sns import OPERATIONS as SNS_OPERATIONS
from localses.sns import SnsDoor
from localses.store import connect

Result = TypeVar("Result")


class Program:
    """The running Local SES: its desk on a thread of its own, and the doors to it."""

    def __init__(self, config: Config, settings: Settings) -> None:
        self.config = config
        self.settings = settings
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="desk")
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="reader")
        self.desk: Desk
        self.ses: SesDoor
        self.sns: SnsDoor
        self.courier = CourierProcess(config)

    async def start(self) -> None:
        """Open the store and send the courier out."""
        operations = SNS_OPERATIONS | OPERATIONS.keys() | COUNTING_OPERATIONS.keys()
        self.desk = await self.at_desk(partial(open_desk, self.config, self.settings, operations))
        self.ses = SesDoor(self.desk)
        self.sns = SnsDoor(self.desk)
        self.courier.start()

    async def stop(self) -> None:
        """Let the courier come back, then close the store."""
        await asyncio.to_thread(self.courier.stop)
        await self.at_desk(self.desk.store.close)
        self._thread.shutdown()
        self._readers.shutdown()

    async def at_desk(self, work: Callable[[], Result]) -> Result:
        """Run work on the desk's thread, where everything is written."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def read(self, work: Callable[..., Result], *args: object) -> Result:
        """Run a query beside the desk, on a connection that cannot write."""

        def run() -> Result:
            db = connect(self.desk.store.path, read_only=True)
            try:
                return work(db, *args)
            finally:
                db.close()

        return await asyncio.get_running_loop().run_in_executor(self._readers, run)


def program_of(request: Request) -> Program:
    """Return the program that serves this request."""
    found: Program = request.app.state.program
    return found
