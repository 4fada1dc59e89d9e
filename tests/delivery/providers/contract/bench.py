"""One provider beside the stub of its service, with the same handles whichever it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from delivery.providers.base import Entry, OutgoingEmail, Provider
from tests.delivery.providers.contract.received import Received

TROUBLES = ("throttle", "quota", "credentials", "cut", "wait")


class Bench(ABC):
    """A provider and its stub. `can` names what the service is able to say."""

    provider: Provider
    can: frozenset[str]

    @property
    @abstractmethod
    def received(self) -> list[Received]:
        """What the service took, in order."""

    @property
    @abstractmethod
    def handed_over(self) -> int:
        """How often something came whole: calls over HTTP, messages over SMTP."""

    @property
    @abstractmethod
    def connections(self) -> int:
        """How many connections were opened."""

    @abstractmethod
    def set_mode(self, mode: str) -> None:
        """From now on: accept, throttle, quota, credentials, refuse_one (the second recipient), cut, wait, close_idle."""

    @abstractmethod
    def wait_for_close(self) -> None:
        """Until the service has closed a connection."""

    @abstractmethod
    def again(self, **config: Any) -> Provider:
        """Another provider of the same service with other settings of its constructor."""

    @abstractmethod
    def unreachable(self) -> Provider:
        """A provider whose service nobody runs."""

    @abstractmethod
    def stop(self) -> None:
        """End the stub and close the provider."""


def email(**changes: Any) -> OutgoingEmail:
    """A letter with two slots, and everything in its constants that somebody's template language could misread."""
    fields: dict[str, Any] = {
        "sender": "Acme News <news@acme.test>",
        "reply_to": ("desk@acme.test",),
        "subject": "Hello {{s0}}",
        "html": '<p>Hello {{s0}}, 100 % %recipient.s0% {% if %} [[var:s0]] *|S0|* -s0- é</p>\n<a href="https://acme.test/{{s1}}">read</a>'
        "\n.begins with a dot" + " and is long" * 20,
        "text": "Hello {{s0}}\n.\n..two\nFrom the shore",
        "headers": (
            ("List-Id", "News <list-1.acme.test>"),
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
            ("Feedback-ID", "1:2:campaign:amazonsender"),
        ),
    }
    return OutgoingEmail(**(fields | changes))


def entry(number: int = 1, **changes: Any) -> Entry:
    """A recipient; numbers make them differ."""
    fields: dict[str, Any] = {
        "address": f"person{number}@example.com",
        "values": {"s0": f"Zoë &amp; <b>{number}</b>", "s1": f"{number}?q=%22"},
        "headers": (("List-Unsubscribe", f"<https://acme.test/u/{number}?m=token-{number}_x>"),),
        "tag": f"token-{number}_x",
    }
    return Entry(**(fields | changes))


def entries(count: int) -> list[Entry]:
    """So many different recipients."""
    return [entry(number) for number in range(1, count + 1)]
