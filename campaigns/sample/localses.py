"""Local SES's own side of the story, over its HTTP interface."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, NamedTuple

TIMEOUT_SECONDS = 20
PAGE = 5000


class LocalSesError(Exception):
    """Local SES does not answer, or not as it should."""


class Accepted(NamedTuple):
    """An email that Local SES accepted."""

    message_id: str
    to: str
    tag: str


class LocalSes:
    """A client of Local SES's record and settings."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        # What is on this machine is never reached through a proxy.
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def wait_until_up(self, *, seconds: float) -> None:
        """Wait for it to answer. Raises LocalSesError."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.stats()
            except LocalSesError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.3)
            else:
                return

    def change_settings(self, **values: float) -> None:
        """Set rates and limits."""
        self._ask("/_localses/settings", body=values)

    def stats(self) -> dict[str, Any]:
        """Counts: accepted, outcomes, events that are still to come."""
        answer: dict[str, Any] = self._ask("/_localses/stats")
        return answer

    def accepted(self) -> Iterator[Accepted]:
        """Every accepted email, in order of acceptance."""
        after = 0
        while True:
            page = self._ask(f"/_localses/messages?after={after}&limit={PAGE}")
            for item in page["messages"]:
                yield Accepted(item["message_id"], item["to"], str(item["tags"].get("m", "")))
            if page["next"] is None:
                return
            after = page["next"]

    def _ask(self, path: str, body: dict[str, float] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - the address is the installation's own setting
            f"{self.url}{path}", data=data, headers={"Content-Type": "application/json"}
        )
        try:
            with self._open(request, timeout=TIMEOUT_SECONDS) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            detail = error.read().decode(errors="replace")[:200]
            raise LocalSesError(f"Local SES answered {error.code} to {path}: {detail}") from error
        except (OSError, ValueError) as error:
            raise LocalSesError(f"Local SES at {self.url} does not answer: {error}") from error
