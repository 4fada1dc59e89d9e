from __future__ import annotations

from typing import Any

from delivery.providers.base import Provider
from delivery.providers.smtp import SmtpProvider
from tests.delivery.providers.contract.bench import Bench
from tests.delivery.providers.contract.received import Received, from_mime
from tests.delivery.providers.contract.smtp_stub import SmtpStub

REPLIES = {
    "throttle": ("END", "454 4.7.0 Throttling failure: Maximum sending rate exceeded"),
    "quota": ("MAIL", "550 5.4.5 Daily user sending limit exceeded"),
    "credentials": ("AUTH", "535 5.7.8 Authentication credentials invalid"),
    "cut": ("END", "cut"),
    "wait": ("END", "wait"),
}


class SmtpBench(Bench):
    """A mail server."""

    can = frozenset({"throttle", "quota", "credentials", "refuse_one"})

    def __init__(self, extensions: tuple[str, ...] = ("PIPELINING", "SIZE 10000000", "AUTH PLAIN")) -> None:
        self.stub = SmtpStub(extensions=extensions)
        self._made: list[Provider] = []
        self.provider = self.again()

    @property
    def received(self) -> list[Received]:
        return [from_mime(recipient, raw) for _sender, recipient, raw in self.stub.messages]

    @property
    def handed_over(self) -> int:
        return self.stub.handed_over

    @property
    def connections(self) -> int:
        return self.stub.connections

    def set_mode(self, mode: str) -> None:
        self.stub.is_closing_idle = mode == "close_idle"
        wanted, reply = REPLIES.get(mode, ("", ""))
        if mode == "refuse_one":
            self.stub.rule = lambda step, argument: (
                "550 5.1.1 No such user" if step == "RCPT" and "person2@" in argument else ""
            )
        else:
            self.stub.rule = lambda step, _argument: reply if step == wanted else ""

    def wait_for_close(self) -> None:
        assert self.stub.closed_one.wait(5)

    def again(self, **config: Any) -> Provider:
        defaults: dict[str, Any] = {
            "port": self.stub.port,
            "username": "acme",
            "password": "secret",
            "security": "none",
        }
        self._made.append(SmtpProvider(host="127.0.0.1", **(defaults | config)))
        return self._made[-1]

    def unreachable(self) -> Provider:
        return self.again(port=1)

    def stop(self) -> None:
        for provider in self._made:
            provider.close()
        self.stub.stop()
