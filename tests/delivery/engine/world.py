"""A small world for engine tests: people, a list, an account, and a provider whose answers a test decides."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any
from unittest.mock import Mock

from delivery.compiling import EmailSource
from delivery.engine.arming import ArmPlan
from delivery.engine.calls import Call
from delivery.engine.database import Connection, open_connection
from delivery.engine.loop import EngineLoop
from delivery.engine.runner import AccountRunner
from delivery.engine.simulating import SimulatedProvider
from delivery.engine.ticking import tick
from delivery.models import CompiledEmail, Mailout, SendingAccount
from delivery.providers.base import CallResult, Entry, EntryResult, Limits, Outcome, OutgoingEmail, PreparedCall
from delivery.selectors.audience import Audience
from delivery.selectors.progress import mailout_progress
from delivery.services.compiling import compile_and_store
from delivery.services.launching import launch_mailout
from organizations.models import Organization
from subscribers.models import AttributeDefinition, List, Subscriber, SubscriptionState
from tests.factories import (
    AccountFactory,
    ListFactory,
    OrganizationFactory,
    SubscriberFactory,
    SubscriptionFactory,
    repeat_person,
)

Answer = Callable[[list[Entry]], CallResult]


@dataclass
class ScriptedCall:
    entries: list[Entry]
    size: int = 100


def accept(entries: list[Entry]) -> CallResult:
    return CallResult([EntryResult(Outcome.ACCEPTED, f"id-{entry.tag}", "") for entry in entries])


class ScriptedProvider(SimulatedProvider):
    """Accepts everybody unless `answer` says otherwise, and remembers who was handed over, how often."""

    limits = Limits(entries_per_call=50, bytes_per_call=900_000)

    def __init__(self, answer: Answer = accept) -> None:
        self.answer = answer
        self.handed_over: Counter[str] = Counter()
        self.calls: list[list[str]] = []
        self.emails: list[OutgoingEmail] = []
        self._lock = threading.Lock()

    def prepare(self, email: OutgoingEmail) -> object:
        self.emails.append(email)
        return email

    def build(self, prepared: object, entries: Sequence[Entry], call_id: str) -> Any:
        return ScriptedCall(list(entries))

    def send(self, call: PreparedCall) -> CallResult:
        assert isinstance(call, ScriptedCall)
        with self._lock:
            self.handed_over.update(entry.address for entry in call.entries)
            self.calls.append([entry.address for entry in call.entries])
        return self.answer(call.entries)


@dataclass
class World:
    organization: Organization
    account: SendingAccount
    list: List
    compiled: CompiledEmail
    provider: ScriptedProvider = field(default_factory=ScriptedProvider)

    def add_people(self, count: int, *, start: int = 0, **fields: Any) -> Sequence[Subscriber]:
        first = SubscriberFactory.create(
            organization=self.organization, email=f"p{start}@example.com", first_name=f"Name {start}", **fields
        )
        standing = SubscriptionFactory.create(subscriber=first, list=self.list)
        repeat_person(standing, range(start + 1, start + count), address="p", first_name="Name ")
        return list(Subscriber.objects.filter(pk__gte=first.pk).order_by("pk"))

    def add_person(
        self, name: str, *lists: List, state: str = SubscriptionState.SUBSCRIBED, **fields: Any
    ) -> Subscriber:
        """One person on some lists, on the first one where none are named."""
        person = SubscriberFactory.create(organization=self.organization, email=f"{name}@example.com", **fields)
        for chosen in lists or (self.list,):
            SubscriptionFactory.create(subscriber=person, list=chosen, state=state)
        return person

    def add_list(self, name: str) -> List:
        return ListFactory.create(organization=self.organization, name=name)

    def write(self, html: str, *, subject: str = "Hello") -> None:
        """Another letter for the next launches."""
        source = EmailSource(subject=subject, html=f"<html><body>{html}</body></html>")
        self.compiled = compile_and_store(organization=self.organization, source=source)

    def write_for_divisors(self) -> None:
        """A letter that cannot be rendered for whoever has 0 in the attribute `parts`."""
        AttributeDefinition.objects.get_or_create(organization=self.organization, key="parts", type="number")
        self.write("<p>{{ 10 | divided_by: attributes.parts }}</p>")

    def launch(self, key: str = "campaign:1", **options: Any) -> Mailout:
        wanted: dict[str, Any] = {
            "organization": self.organization,
            "account": self.account,
            "name": "Letter",
            "emails": [self.compiled],
            "audience": Audience((self.list.pk,)),
            "sender": "News <news@example.com>",
        }
        return launch_mailout(idempotency_key=key, **(wanted | options))

    def loop(self, *, threads: int = 4) -> EngineLoop:
        def make_runner(account_id: int, results: SimpleQueue[Call]) -> AccountRunner:
            provider = self.provider if account_id else SimulatedProvider()
            return AccountRunner(account_id, provider, threads=threads, results=results, connect=open_connection)

        return EngineLoop(make_runner=make_runner, connect=open_connection, stop=threading.Event())

    def run(self, *, seconds: float = 5.0, slots: int = 2) -> None:
        """One slice, which ends by itself when nothing is due."""
        loop = self.loop()
        try:
            loop.run_slice(slots=slots, seconds=seconds)
        finally:
            loop.close()

    def finish(self, connection: Connection, mailout: Mailout, *, seconds: float = 30.0) -> None:
        """Slice after slice with a tick between them, as an installation does, until the mailout is over."""
        deadline = monotonic() + seconds
        while mailout_progress(mailout).state != "finished" and monotonic() < deadline:
            self.run()
            tick(connection, slots=2)


class HeldRunner:
    """A runner whose calls are armed and never come back: a worker that was killed, or stands still."""

    def __init__(self, world: World) -> None:
        self.results: SimpleQueue[Call] = SimpleQueue()
        self.gate = threading.Event()
        answer = world.provider.answer

        def wait(entries: Any) -> CallResult:
            self.gate.wait(10)
            return answer(entries)

        world.provider.answer = wait
        self.runner = AccountRunner(
            world.account.pk, world.provider, threads=1, results=self.results, connect=open_connection
        )

    def plan(self, raw: Connection) -> ArmPlan:
        """Read the people and make the plan now that the next step arms, whatever happens in between."""
        plan = self.runner._plan(raw)
        assert plan is not None
        self.runner._plan = Mock(return_value=plan)  # type: ignore[method-assign]
        return plan

    def arm(self, raw: Connection) -> None:
        self.runner.step(raw, is_stopping=False)

    def come_back(self, count: int) -> None:
        self.gate.set()
        for _ in range(count):
            self.runner.finish(self.results.get(timeout=5))

    def collect(self) -> None:
        """Take back what has come back so far."""
        with suppress(Empty):
            while True:
                self.runner.finish(self.results.get(timeout=0.05))

    def settle(self, raw: Connection) -> None:
        """The end of a slice: what came back is settled, and what is not armed is handed back."""
        self.runner.step(raw, is_stopping=True)
        self.runner.release(raw)


def make_world(organization: Organization | None = None) -> World:
    if organization is None:
        organization = OrganizationFactory.create(name="Acme")
    account = AccountFactory.create(organization=organization)
    compiled = compile_and_store(
        organization=organization,
        source=EmailSource(
            subject="Hello {{ first_name }}", html="<html><body><p>Hi {{ first_name }}</p></body></html>"
        ),
    )
    return World(organization, account, ListFactory.create(organization=organization, name="News"), compiled)


def assert_everybody_got_it_once(world: World, mailout: Mailout, people: int) -> None:
    progress = mailout_progress(mailout)
    assert (progress.sent, progress.unknown, progress.waiting) == (people, 0, 0)
    assert set(world.provider.handed_over.values()) == {1}


def expire_leases(raw: Connection) -> None:
    raw.execute("UPDATE delivery_message_batch SET lease_until = clock_timestamp() - interval '1 s' WHERE state = 1")
