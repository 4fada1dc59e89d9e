"""Several processors at once, with the engine's writers beside them, on real connections."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence

import pytest
from django.db import OperationalError, connection, transaction
from psycopg import errors

from delivery.models import DeliveryEvent, EventType, Inbox, Message, StatDomain, StatEmail, StatHour
from delivery.services.events import process_inbox, processing
from delivery.services.events.applying import apply_events
from delivery.services.events.model import ProviderEvent
from delivery.services.events.suppressing import Foreign
from subscribers.models import Engagement, Suppression
from tests.cast import make_cast
from tests.delivery.events.mailouts import add_message, make_mailout, make_subscriber
from tests.delivery.events.notifications import event, store

PEOPLE = 60


def together(*jobs: Callable[[], None]) -> list[Exception]:
    failures: list[Exception] = []

    def run(job: Callable[[], None]) -> None:
        try:
            job()
        except Exception as error:  # noqa: BLE001 - told to the main thread
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


@pytest.mark.django_db(transaction=True)
def test_three_processors_with_every_event_three_times_count_exactly() -> None:
    acme = make_cast().acme
    mailouts = [make_mailout(acme) for _ in range(2)]
    people = [make_subscriber(acme, f"p{n}@d{n % 3}.example.com") for n in range(1, PEOPLE + 1)]
    documents = []
    for mailout in mailouts:
        for n, person in enumerate(people, start=1):
            add_message(mailout, n, person)
            names = ["bounce", "complaint"] if n % 10 == 0 else ["delivery", "open", "click", "bounce_soft"]
            documents += [event(name, mailout_id=mailout.pk, n=n, to=person.email) for name in names]
    documents *= 3
    random.Random(5).shuffle(documents)
    store(*documents)
    done = threading.Event()

    def process() -> None:
        while process_inbox(limit=25):
            pass

    def settle() -> None:
        """Another writer of messages, in the common order."""
        while not done.is_set():
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM delivery_message ORDER BY mailout_id, n LIMIT 40 FOR NO KEY UPDATE")
        connection.close()

    settler = threading.Thread(target=settle)
    settler.start()
    failures = together(process, process, process)
    done.set()
    settler.join()

    assert failures == []
    assert Inbox.objects.count() == 0
    assert DeliveryEvent.objects.count() == 2 * (54 * 4 + 6 * 2)
    expected = {
        EventType.DELIVERED: (108, 108, 0),
        EventType.OPENED: (108, 108, 108),
        EventType.CLICKED: (108, 108, 108),
        EventType.SOFT_BOUNCED: (108, 108, 0),
        EventType.BOUNCED: (12, 12, 0),
        EventType.COMPLAINED: (12, 12, 0),
    }
    for model in (StatEmail, StatHour, StatDomain):
        sums: dict[int, tuple[int, int, int]] = {}
        for row in model.objects.all():
            was = sums.get(row.type, (0, 0, 0))
            sums[row.type] = (was[0] + row.total, was[1] + row.uniq, was[2] + row.uniq_human)
        assert sums == expected
    assert Message.objects.filter(bounced_at__isnull=False).count() == 12
    assert Suppression.objects.filter(reason="complaint").count() == 6
    assert set(Engagement.objects.values_list("delivered", "opened", "clicked")) == {(2, 2, 2)}


@pytest.mark.django_db(transaction=True)
def test_a_deadlock_costs_a_repetition_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    acme = make_cast().acme
    mailout = make_mailout(acme)
    add_message(mailout, 1, make_subscriber(acme, "ana@example.com"))
    store(event("delivery", mailout_id=mailout.pk, n=1))
    troubles = iter([errors.DeadlockDetected("deadlock"), None])

    def apply(events: Sequence[ProviderEvent]) -> list[Foreign]:
        trouble = next(troubles)
        if trouble is not None:
            raise OperationalError("deadlock") from trouble
        return apply_events(events)

    monkeypatch.setattr(processing, "apply_events", apply)

    assert process_inbox() == 1
    assert Message.objects.get().delivered_at is not None
    assert StatEmail.objects.get().total == 1
