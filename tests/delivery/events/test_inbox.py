from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import OperationalError, connection, transaction

from delivery.models import EventType, Inbox, InboxSeen
from delivery.services.events import store_provider_message, store_reader_act

AT = datetime(2026, 11, 3, 10, tzinfo=UTC)


def store(unique_id: str = "a", body: bytes = b"{}") -> bool:
    return store_provider_message(source="ses", unique_id=unique_id, published_at=AT, body=body)


@pytest.mark.django_db
def test_any_bytes_come_back_as_they_were_sent() -> None:
    body = bytes(range(256)) + "письмо".encode()

    assert store(body=body)

    assert bytes(Inbox.objects.get().body) == body


@pytest.mark.django_db
def test_a_repeated_message_is_stored_once() -> None:
    assert [store("a"), store("a"), store("b")] == [True, False, True]
    assert (Inbox.objects.count(), InboxSeen.objects.count()) == (2, 2)


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_died_meanwhile_is_opened_again() -> None:
    connection.ensure_connection()
    connection.connection.close()

    store_reader_act(type_=EventType.OPENED, mailout_id=1, n=1, at=AT, ip="", user_agent="x")

    assert Inbox.objects.get().source == "reader"


@pytest.mark.django_db(transaction=True)
def test_within_a_transaction_a_dead_connection_is_told() -> None:
    @transaction.atomic
    def store_after_the_connection_died() -> None:
        connection.connection.close()
        store()

    with pytest.raises(OperationalError):
        store_after_the_connection_died()

    assert Inbox.objects.count() == 0
