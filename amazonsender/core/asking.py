"""Questions to services that may never answer, each in a thread of its own, so that whoever asks can stop waiting.

A database that hangs, rather than being away, holds whoever reads from its connection for as long as it hangs: no
time-out of the server's own helps against that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

from django.db import InterfaceError, OperationalError, connection

Answer = TypeVar("Answer")


class NoAnswerError(Exception):
    """Nothing came in time."""


class Asker(Generic[Answer]):
    """Asks one service, and no second time before it has answered. For one asking thread at a time."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._questions: SimpleQueue[Callable[[], Answer]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._asked_at: float | None = None
        self._has_answered = threading.Event()
        self._answer: Answer | None = None
        self._error: Exception | None = None

    def ask(self, question: Callable[[], Answer]) -> None:
        """Ask, unless the last question is still open: then its answer is waited for."""
        if self._thread is None or not self._thread.is_alive():  # not started yet, or lost by a fork
            self._asked_at = None
            self._thread = threading.Thread(target=self._work, name=f"ask-{self._name}", daemon=True)
            self._thread.start()
        if self._asked_at is None:
            self._asked_at = time.perf_counter()
            self._has_answered.clear()
            self._questions.put(question)

    @property
    def seconds(self) -> float:
        """How long the question has been open."""
        return time.perf_counter() - self._asked_at if self._asked_at is not None else 0.0

    def answer(self, *, within: float) -> Answer:
        """The answer, waited for until `within` seconds after the question. Raises NoAnswerError, and what it raised."""
        if not self._has_answered.wait(max(0.0, within - self.seconds)):
            raise NoAnswerError
        self._asked_at = None
        if self._error is not None:
            raise self._error
        return self._answer  # type: ignore[return-value] # None is an answer, too

    def _work(self) -> None:
        while True:
            question = self._questions.get()
            self._answer = self._error = None
            try:
                self._answer = question()
            except Exception as error:  # noqa: BLE001 - whoever asks learns of it
                self._error = error
            self._has_answered.set()


def on_a_living_connection(ask: Callable[[], Answer]) -> Answer:
    """Ask the database by this thread's connection, and once more by a new one: that one died says nothing about the
    server. Raises Django's database errors."""
    try:
        return ask()
    except (InterfaceError, OperationalError):
        connection.close()
        return ask()
    finally:
        if "pool" in connection.settings_dict["OPTIONS"]:
            connection.close()
