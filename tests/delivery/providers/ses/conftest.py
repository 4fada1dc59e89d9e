"""A scripted server and a provider that talks to it."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from delivery.providers.base import Entry, OutgoingEmail
from delivery.providers.ses import SesProvider
from tests.delivery.providers.ses.scripted_server import ScriptedServer, Step

REGION = "eu-central-1"


@pytest.fixture
def script() -> Iterator[Callable[..., ScriptedServer]]:
    servers: list[ScriptedServer] = []

    def start(*steps: Step, tls: ssl.SSLContext | None = None) -> ScriptedServer:
        servers.append(ScriptedServer(steps, tls=tls))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def provider_for() -> Iterator[Callable[..., SesProvider]]:
    providers: list[SesProvider] = []

    def make(server: ScriptedServer | str, **config: Any) -> SesProvider:
        url = server if isinstance(server, str) else server.url
        defaults: dict[str, Any] = {"access_key": "AKIDEXAMPLE", "secret_key": "secret", "connect_timeout_seconds": 2}
        config = defaults | config
        providers.append(SesProvider(REGION, endpoint_url=url, **config))
        return providers[-1]

    yield make
    for provider in providers:
        provider.close()


@pytest.fixture
def email() -> OutgoingEmail:
    return OutgoingEmail(
        sender="Acme News <news@acme.test>",
        reply_to=("desk@acme.test",),
        subject="Hello {{s0}}",
        html='<p>Hello {{s0}}, <a href="https://acme.test/{{s1}}">read</a></p>',
        text="Hello {{s0}}",
        headers=(("List-Id", "<news.acme.test>"),),
        tags=(("kind", "campaign"),),
        configuration_set="acme",
    )


def entry(number: int = 1, **changes: Any) -> Entry:
    """A recipient; numbers make them differ."""
    fields: dict[str, Any] = {
        "address": f"person{number}@example.com",
        "values": {"s0": f"Zoë &amp; <b>{number}</b>", "s1": f'{number}?q="\\\n'},
        "headers": (
            ("List-Unsubscribe", f"<https://acme.test/u/{number}>"),
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ),
        "tag": f"token-{number}_x",
    }
    return Entry(**(fields | changes))


def entries(count: int) -> list[Entry]:
    """So many different recipients."""
    return [entry(number) for number in range(1, count + 1)]


def success(number: int) -> dict[str, str]:
    """One accepted entry of a bulk answer."""
    return {"Status": "SUCCESS", "MessageId": f"id-{number}"}
