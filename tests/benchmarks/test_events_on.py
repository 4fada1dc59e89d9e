from __future__ import annotations

from unittest.mock import Mock

import pytest

from delivery.models import Inbox, InboxSeen, Message, MessageState
from delivery.services.events import process_inbox
from organizations.models import Organization
from tests.benchmarks import events_on
from tests.cast import make_cast
from tests.databases import database_url
from tests.delivery.events.mailouts import add_batch, add_message, make_mailout, make_subscriber


@pytest.mark.django_db(transaction=True)
def test_what_was_sent_is_told_of_once_and_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_on, "wake_processor", Mock())
    monkeypatch.setattr(events_on, "TICK_SECONDS", 0.01)
    acme: Organization = make_cast().acme
    mailout = make_mailout(acme)
    people = [make_subscriber(acme, f"p{n}@example.com") for n in range(1, 4)]
    for n, person in enumerate(people, start=1):
        add_message(mailout, n, person)
    add_message(mailout, 4, None, state=MessageState.QUEUED)
    add_batch(mailout, 1, 4)

    with events_on.feed_events(database_url(), mailout.pk) as fed:
        pass

    assert (fed.messages, fed.events, Inbox.objects.count(), InboxSeen.objects.count()) == (3, 6, 6, 6)
    assert process_inbox() == 6
    told = Message.objects.filter(mailout_id=mailout.pk, delivered_at__isnull=False)
    assert sorted(told.values_list("n", flat=True)) == [1, 2, 3]
