"""The product in the same race: Celery workers with production settings, as `bench_send` runs them."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from django.db.models import Count

from delivery.models import CompiledEmail, Inbox, Mailout, Message, MessageState, SendingAccount
from organizations.models import Organization
from subscribers.models import List, Subscriber
from tests.benchmarks.events_on import tell_of
from tests.benchmarks.harness import Cpu, kill
from tests.benchmarks.installation import Installation
from tests.benchmarks.mailouts import checkpoint, launch, verify, wait
from tests.benchmarks.rivals.contender import wait_for_half
from tests.benchmarks.rivals.figures import Killed, Speed, count_repeated, emails_per_second

TITLE = "AmazonSender"
PROCESSES = 2


@dataclass(frozen=True)
class Ours:
    """The installation with its audience."""

    organization: Organization
    account: SendingAccount
    people: List
    compiled: CompiledEmail
    product: Installation
    log: Path

    def measure(self) -> Speed:
        """Send to everybody, after a first mailout that warms the workers up. Launching counts as part of sending."""
        stub = self.product.stub
        with self.product.workers(self.log, processes=PROCESSES) as workers:
            self._launch("warm-up")
            cpu = Cpu(self.product.server, workers)
            stub.reset()
            checkpoint()
            before, own = cpu.read(), time.process_time()
            mailout = self._launch("race", is_waited_for=False)
            own = time.process_time() - own
            wait(mailout, self.log)
            checkpoint()
            after = cpu.read()
        emails, _seconds = verify(mailout, self.compiled, stub, self.log)
        stats = stub.stats()
        return Speed(
            TITLE,
            emails,
            emails_per_second(stats),
            (after[0] - before[0] + own) / emails * 1e6,
            (after[1] - before[1]) / emails * 1e6,
            stats["bytes"] / emails,
        )

    def kill(self, expected: int) -> Killed:
        """Kill every process of the workers when half of the people were reached, start them again, let them finish.

        Then the provider's events come in, as they do from SES, and settle what it had accepted. Exits unless those
        shown as unanswered are exactly those who got nothing.
        """
        stub = self.product.stub
        with self.product.workers(self.log, processes=PROCESSES) as workers:
            stub.reset()
            mailout = self._launch("killed", is_waited_for=False)
            wait_for_half(stub, expected)
            kill(workers)
        before = stub.stats()["people"]
        with self.product.workers(self.log, processes=PROCESSES, seconds=0):
            wait(mailout, self.log)
            self._tell_what_was_accepted(mailout)
        stats = stub.stats()
        states = dict(
            Message.objects.filter(mailout_id=mailout.pk)
            .values_list("state")
            .annotate(Count("n"))
            .values_list("state", "n__count")
        )
        unknown, sent = states.get(MessageState.UNKNOWN, 0), states.get(MessageState.SENT, 0)
        never = expected - stats["people"]
        if sent + unknown != expected or unknown != never:
            sys.exit(f"FAILED: the ledger of {expected} people says {states}, the provider {stats}")
        return Killed(TITLE, expected, before, "its supervisor", count_repeated(stats), never, unknown)

    def _tell_what_was_accepted(self, mailout: Mailout) -> None:
        """Feed events of the messages without an answer that the stub did accept, and wait until they are processed."""
        unanswered = dict(
            Message.objects.filter(mailout_id=mailout.pk, state=MessageState.UNKNOWN).values_list("subscriber_id", "n")
        )
        people = Subscriber.objects.filter(pk__in=unanswered).values_list("email", "pk")
        numbers = {email: unanswered[pk] for email, pk in people}
        now = datetime.now(UTC)
        accepted = [
            (numbers[email], email, f"{email}-{mailout.pk}", now) for email in self.product.stub.accepted(list(numbers))
        ]
        tell_of(self.product.database, mailout.pk, accepted)
        while Inbox.objects.exists():
            time.sleep(0.1)

    def _launch(self, label: str, *, is_waited_for: bool = True) -> Mailout:
        mailout = launch(
            organization=self.organization,
            account=self.account,
            people=self.people,
            compiled=self.compiled,
            label=label,
        )
        if is_waited_for:
            wait(mailout, self.log)
        return mailout
