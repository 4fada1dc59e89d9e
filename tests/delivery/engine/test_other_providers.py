"""A mailout over other providers than Amazon SES, along the path of a worker, to a real server."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic

import pytest

from delivery.engine import process
from delivery.engine.process import engine_loop
from delivery.models import Message, MessageState
from delivery.services.connecting import AccountSettings, connect_account, reconnect_account
from delivery.services.providers import forget_providers
from delivery.tokens import track_token
from tests.delivery.engine.world import World
from tests.delivery.providers.contract.anymail_benches import AnymailBench, Mailgun, Postmark
from tests.delivery.providers.contract.smtp_bench import SmtpBench


@pytest.fixture
def server() -> Iterator[SmtpBench]:
    made = SmtpBench()
    yield made
    end_of_process()
    made.stop()


def end_of_process() -> None:
    """Forget what a worker's process keeps."""
    if process._loop is not None:
        process._loop.close()
        process._loop = None
    forget_providers()


def run() -> None:
    """Slices as a worker's task runs them, for as long as one asks for another."""
    deadline = monotonic() + 20
    while engine_loop().run_slice(slots=2, seconds=10):
        assert monotonic() < deadline


def settings_of(server: SmtpBench, **changes: str) -> AccountSettings:
    values: dict[str, str | int | None] = {
        "host": "127.0.0.1",
        "port": server.stub.port,
        "security": "none",
        "username": "acme",
    }
    return AccountSettings("Relay", rate_limit=90_000, values=values | {"password": "secret"} | changes)


def test_a_mailout_goes_out_over_smtp_and_is_accounted_for(world: World, server: SmtpBench) -> None:
    world.account = connect_account(
        organization=world.organization, actor=None, provider="smtp", variant="", settings=settings_of(server)
    )
    world.add_people(60)
    server.stub.rule = lambda step, argument: "550 5.1.1 No such user" if step == "RCPT" and "p7@" in argument else ""
    mailout = world.launch()

    run()

    assert sorted(one.to for one in server.received) == sorted(f"p{n}@example.com" for n in range(60) if n != 7)
    letters = {one.to: one for one in server.received}
    assert letters["p3@example.com"].subject == "Hello Name 3"
    assert "Hi Name 3" in letters["p3@example.com"].html
    assert letters["p3@example.com"].headers["List-Unsubscribe"].startswith("<")
    states = Message.objects.filter(mailout_id=mailout.pk).values_list("state", flat=True)
    assert sorted(states) == [MessageState.SENT] * 59 + [MessageState.FAILED]
    failed = Message.objects.get(mailout_id=mailout.pk, state=MessageState.FAILED)
    assert failed.error == "refused: 550 5.1.1 No such user"
    assert Message.objects.filter(mailout_id=mailout.pk, provider_id__startswith="2.0.0 Ok: queued as").count() == 59


def test_a_worker_heeds_what_was_entered_meanwhile(world: World, server: SmtpBench) -> None:
    account = connect_account(
        organization=world.organization, actor=None, provider="smtp", variant="", settings=settings_of(server)
    )
    world.account = account
    world.add_people(2)
    world.launch()
    run()
    first = engine_loop()

    reconnect_account(account=account, actor=None, settings=settings_of(server, username="other"))
    world.launch("campaign:2")
    run()

    assert engine_loop() is not first
    assert server.stub.logins[0] == "\0acme\0secret"
    assert server.stub.logins[-1] == "\0other\0secret"
    assert len(server.received) == 4


@pytest.mark.parametrize("kind", [Mailgun, Postmark])
def test_a_mailout_goes_out_through_a_service(world: World, kind: type[AnymailBench]) -> None:
    bench = kind()
    options: dict[str, str | int | None] = {"api_url": bench.stub.url, **bench.options}
    world.account = connect_account(
        organization=world.organization,
        actor=None,
        provider="anymail",
        variant=bench.variant,
        settings=AccountSettings("Service", rate_limit=20_000, values=options),
    )
    world.add_people(1200)
    mailout = world.launch()

    try:
        run()
    finally:
        end_of_process()
        bench.stop()

    assert sorted(one.to for one in bench.received) == sorted(f"p{n}@example.com" for n in range(1200))
    letters = {one.to: one for one in bench.received}
    assert letters["p3@example.com"].subject == "Hello Name 3"
    assert "Hi Name 3" in letters["p3@example.com"].html
    messages = Message.objects.filter(mailout_id=mailout.pk)
    assert messages.filter(state=MessageState.SENT).count() == 1200
    assert {letters[one.to].tags["m"] for one in bench.received} == {
        track_token(mailout.pk, n) for n in messages.values_list("n", flat=True)
    }
    most = bench.provider.limits.entries_per_call
    assert bench.handed_over <= 1200 // most + 3
