"""A small world for engine tests: people, a list, an account, and a provider whose answers a test decides."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from django.utils import timezone

from delivery.compiling import EmailSource
from delivery.engine.calls import Call
from delivery.engine.database import open_connection
from delivery.engine.loop import EngineLoop
from delivery.engine.runner import AccountRunner
from delivery.engine.simulating import SimulatedProvider
from delivery.models import AccountPace, CompiledEmail, Mailout, SendingAccount
from delivery.providers.base import CallResult, Entry, EntryResult, Limits, Outcome, OutgoingEmail, PreparedCall
from delivery.selectors.audience import Audience
from delivery.services.compiling import compile_and_store
from delivery.services.launching import launch_mailout
from organizations.models import Organization
from subscribers.models import Domain, List, Subscriber, Subscription

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

    def add_people(self, count: int, *, start: int = 0, **fields: Any) -> list[Subscriber]:
        domain, _made = Domain.objects.get_or_create(name="example.com")
        people = Subscriber.objects.bulk_create(
            Subscriber(
                organization=self.organization,
                email=f"p{number}@example.com",
                address_key=f"p{number}@example.com",
                domain=domain,
                first_name=f"Name {number}",
                **fields,
            )
            for number in range(start, start + count)
        )
        Subscription.objects.bulk_create(
            Subscription(organization=self.organization, list=self.list, subscriber=person) for person in people
        )
        return people

    def launch(self, key: str = "campaign:1", **options: Any) -> Mailout:
        return launch_mailout(
            organization=self.organization,
            account=self.account,
            name="Letter",
            idempotency_key=key,
            emails=[self.compiled],
            audience=Audience((self.list.pk,)),
            sender="News <news@example.com>",
            **options,
        )

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


def make_world(organization: Organization) -> World:
    organization.postal_address = "1 Main Street, Riga"
    organization.sender_email = "news@example.com"
    organization.save()
    account = SendingAccount.objects.create(organization=organization, name="Test", is_local=True, calls_in_flight=4)
    now = timezone.now()
    AccountPace.objects.create(
        account=account, mail_tat=now, call_tat=now, max_rate=100_000, max_calls=10_000, day_limit=10_000_000
    )
    compiled = compile_and_store(
        organization=organization,
        source=EmailSource(
            subject="Hello {{ first_name }}", html="<html><body><p>Hi {{ first_name }}</p></body></html>"
        ),
    )
    return World(organization, account, List.objects.create(organization=organization, name="News"), compiled)
