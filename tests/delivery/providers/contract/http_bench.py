from __future__ import annotations

from abc import abstractmethod
from typing import Any

from delivery.providers.base import Provider
from tests.delivery.providers.contract.bench import Bench
from tests.delivery.providers.contract.http_stub import Answer, HttpStub, Request
from tests.delivery.providers.contract.received import Received

NOBODY_LISTENS = "http://127.0.0.1:1"


class HttpBench(Bench):
    """A service with an HTTP API."""

    def __init__(self) -> None:
        self.stub = HttpStub(self.read, self.answer)
        self._made: list[Provider] = []
        self.provider = self.again()

    @abstractmethod
    def make(self, url: str, **config: Any) -> Provider:
        """The provider that talks to this address."""

    @abstractmethod
    def read(self, request: Request) -> list[Received]:
        """What a request asks to be sent."""

    @abstractmethod
    def answer(self, mode: str, messages: list[Received]) -> Answer:
        """What the service says."""

    @property
    def received(self) -> list[Received]:
        return self.stub.received

    @property
    def handed_over(self) -> int:
        return len(self.stub.requests)

    @property
    def connections(self) -> int:
        return self.stub.connections

    def set_mode(self, mode: str) -> None:
        self.stub.mode = mode

    def wait_for_close(self) -> None:
        assert self.stub.closed_one.wait(5)

    def again(self, **config: Any) -> Provider:
        self._made.append(self.make(self.stub.url, **config))
        return self._made[-1]

    def unreachable(self) -> Provider:
        self._made.append(self.make(NOBODY_LISTENS))
        return self._made[-1]

    def stop(self) -> None:
        for provider in self._made:
            provider.close()
        self.stub.stop()
