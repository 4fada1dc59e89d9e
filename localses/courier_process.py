"""Keeps the courier's process alive beside the web server."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import orjson

from localses.config import Config

logger = logging.getLogger("localses")

RESTART_AFTER = 1.0
STOP_WITHIN = 20.0  # longer than a post may take


class CourierProcess:
    """Starts the courier, starts it again when it dies, and ends it by closing its input.

    Were this process killed, the input would close as well: a courier never outlives its server.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name="courier", daemon=True)

    def start(self) -> None:
        """Start the courier and its keeper."""
        self._thread.start()

    def stop(self) -> None:
        """Let the courier finish what it has in hand."""
        self._stopping.set()
        process = self._process
        if process is not None and process.stdin is not None:
            process.stdin.close()
        self._thread.join(STOP_WITHIN)

    def _keep(self) -> None:
        while not self._stopping.is_set():
            code = self._run()
            if self._stopping.wait(RESTART_AFTER):
                break
            logger.error("localses.courier_died", extra={"code": code})

    def _run(self) -> int:
        root = str(Path(__file__).resolve().parent.parent)
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        # A session of its own: Ctrl-C in a terminal must reach it through its input, after the server's last event.
        process = subprocess.Popen(
            [sys.executable, "-m", "localses.courier"],
            stdin=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
        self._process = process
        if process.stdin is not None:
            told = {"data": str(self._config.data.absolute()), "public_url": self._config.public_url}
            process.stdin.write(orjson.dumps(told) + b"\n")
            process.stdin.flush()
            if self._stopping.is_set():
                process.stdin.close()
        return process.wait()
