"""Starting and asking a stub from a benchmark."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.request import Request, urlopen

import orjson

PROJECT = Path(__file__).resolve().parents[3]


class StubProcess:
    """A running stub; use it in a `with` statement. `url` is the provider's endpoint, with these keys."""

    access_key = "STUB"
    secret_key = "stub-secret"

    def __init__(self, *, port: int = 0, latency_ms: float = 0.0) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.provider_stub"]
        command += ["--port", str(port), "--latency-ms", str(latency_ms)]
        command += ["--access-key", self.access_key, "--secret-key", self.secret_key]
        self._process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            raise RuntimeError(f"the stub ended with {self._process.wait()}")

    @property
    def pid(self) -> int:
        """Process id, for measuring its memory and CPU."""
        return self._process.pid

    def stats(self) -> dict[str, Any]:
        """Everything recorded since the last reset; see Record.stats."""
        stats: dict[str, Any] = self._ask("GET", "/_stub/stats")
        return stats

    def accepted(self, addresses: list[str]) -> list[str]:
        """Those of the addresses that an email was accepted for since the last reset."""
        found: list[str] = self._ask("POST", "/_stub/accepted", orjson.dumps(addresses))
        return found

    def reset(self) -> None:
        """Start counting from zero."""
        self._ask("POST", "/_stub/reset")

    def change(self, **settings: float) -> None:
        """Change settings: latency_ms, throttle, throttle_share, error_share, max_send_rate, max_24_hour_send."""
        self._ask("POST", "/_stub/settings", orjson.dumps(settings))

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait(10)
        if self._process.stdout:
            self._process.stdout.close()

    def __enter__(self) -> StubProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        request = Request(self.url + path, data=body if method == "GET" else body or b"", method=method)
        with urlopen(request, timeout=10) as response:
            return orjson.loads(response.read())
