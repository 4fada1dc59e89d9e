from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from unittest.mock import Mock

import pytest
from django.db import OperationalError, connection

from delivery.models import (
    DeliveryEvent,
    EventType,
    Inbox,
    InboxDead,
    Mailout,
    Message,
    MessageAddress,
    StatDomain,
    StatEmail,
    StatHour,
)
from delivery.services.events import process_inbox, processing
from delivery.services.events.applying import apply_events
from organizations.models import Organization
from subscribers.models import Engagement, Subscriber, Suppression
from tests.delivery.events.mailouts import (
    DELIVERED_AT,
    about,
    add_message,
    make_mailout,
    message,
)
from tests.delivery.events.notifications import deliver, event, store

pytestmark = pytest.mark.django_db


def test_a_delivery_moves_the_fact_the_roll_ups_and_engagement(letter: Mailout, ana: Subscriber) -> None:
    deliver(about("delivery", letter))

    assert message(letter).delivered_at == DELIVERED_AT
    found = DeliveryEvent.objects.get()
    assert (found.type, found.at, found.detail) == (
        EventType.DELIVERED,
        DELIVERED_AT,
        {"smtp": "250 2.6.0 Message received"},
    )
    expected = (EventType.DELIVERED, 1, 1, 0)
    assert StatEmail.objects.values_list("type", "total", "uniq", "uniq_human").get() == expected
    assert StatHour.objects.get().hour == datetime(2026, 11, 3, 10, tzinfo=UTC)
    assert StatDomain.objects.get().domain_id == ana.domain_id
    engagement = Engagement.objects.get(subscriber=ana)
    assert (engagement.delivered, engagement.last_delivered_at) == (1, DELIVERED_AT)
    assert Inbox.objects.count() == 0


def test_an_event_that_says_nothing_more_is_kept_without_detail(letter: Mailout) -> None:
    deliver(about("delivery", letter, body={"smtpResponse": ""}))

    assert DeliveryEvent.objects.values_list("type", "at", "detail").get() == (EventType.DELIVERED, DELIVERED_AT, None)
    assert message(letter).delivered_at == DELIVERED_AT


@pytest.mark.parametrize("name", ["bounce", "complaint"])
def test_both_dialects_of_one_message_count_once(letter: Mailout, name: str) -> None:
    of_message = about(name, letter)
    of_identity = event(f"{name}_identity")

    deliver(of_message, of_identity)

    assert DeliveryEvent.objects.count() == 1
    assert StatEmail.objects.get().total == 1
    assert Suppression.objects.count() == 1


def test_an_unknown_future_type_is_ignored(letter: Mailout) -> None:
    deliver(about("delivery", letter) | {"eventType": "Teleported"})

    assert DeliveryEvent.objects.count() == 0
    assert (Inbox.objects.count(), InboxDead.objects.count()) == (0, 0)


def test_a_send_event_of_a_settled_message_writes_nothing(letter: Mailout) -> None:
    before = Message.objects.values().get()

    deliver(about("send", letter))

    assert Message.objects.values().get() == before
    assert DeliveryEvent.objects.count() == 0
    assert StatEmail.objects.count() == 0


def test_the_same_event_three_times_counts_once(letter: Mailout, ana: Subscriber) -> None:
    deliver(*[about("delivery", letter)] * 3)
    deliver(about("delivery", letter))

    assert StatEmail.objects.get().total == 1
    assert Engagement.objects.get(subscriber=ana).delivered == 1


def test_later_events_of_one_message_are_not_taken_for_repeats(letter: Mailout) -> None:
    deliver(about("open", letter), about("click", letter), about("bounce", letter))

    assert set(DeliveryEvent.objects.values_list("type", flat=True)) == {
        EventType.OPENED,
        EventType.CLICKED,
        EventType.BOUNCED,
    }


def test_an_event_of_a_message_nobody_knows_is_dropped(letter: Mailout) -> None:
    deliver(about("delivery", letter, n=99), event("delivery", mailout_id=7, n=1))

    assert DeliveryEvent.objects.count() == 0
    assert (Inbox.objects.count(), InboxDead.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    ("first", "second", "facts"),
    [
        ("delivery", "send", {"delivered_at"}),
        ("bounce", "delivery", {"delivered_at", "bounced_at"}),
        ("delivery", "bounce", {"delivered_at", "bounced_at"}),
        ("complaint", "delivery", {"delivered_at", "complained_at"}),
    ],
)
def test_no_later_event_takes_a_fact_back(letter: Mailout, first: str, second: str, facts: set[str]) -> None:
    deliver(about(first, letter))
    suppressed = Suppression.objects.count()
    deliver(about(second, letter))

    found = message(letter)
    assert {name for name in ("delivered_at", "bounced_at", "complained_at") if getattr(found, name)} == facts
    assert Suppression.objects.count() >= suppressed


def test_who_bounced_after_all_is_no_longer_delivered(letter: Mailout) -> None:
    deliver(about("delivery", letter))
    deliver(about("bounce", letter))

    numbers = {row.type: (row.total, row.uniq) for row in StatEmail.objects.all()}
    assert numbers == {EventType.DELIVERED: (1, 0), EventType.BOUNCED: (1, 1)}


@pytest.mark.parametrize("fields", [{"kind": "test"}, {"is_dry_run": True}])
def test_tests_and_dry_runs_stay_out_of_statistics_and_history(
    acme: Organization, ana: Subscriber, fields: dict[str, Any]
) -> None:
    mailout = make_mailout(acme, **fields)
    add_message(mailout, 1, ana)

    deliver(about("delivery", mailout), about("open", mailout), about("click", mailout))

    assert message(mailout).clicked_human_at is not None
    assert StatEmail.objects.count() == StatHour.objects.count() == StatDomain.objects.count() == 0
    assert Engagement.objects.count() == 0


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("not json", "not JSON"),
        ("[1, 2]", "not an SES event: AttributeError: 'list' object has no attribute 'get'"),
        ("{}", "neither eventType nor notificationType"),
        ('{"eventType": "Bounce"}', "not an SES event: KeyError: 'mail'"),
        ('{"eventType": "Delivery", "mail": {"timestamp": "yesterday"}, "delivery": {}}', "not a time: 'yesterday'"),
        ('{"eventType": "Delivery", "mail": {"timestamp": "2026-11-03T10:00:00"}}', "a time without a zone"),
    ],
)
def test_what_cannot_be_read_dies_with_its_reason_and_blocks_nobody(
    letter: Mailout, document: str, reason: str
) -> None:
    deliver(document, about("delivery", letter))

    assert InboxDead.objects.get().error.startswith(reason)
    assert message(letter).delivered_at is not None
    assert Inbox.objects.count() == 0


def test_the_notice_that_a_topic_was_validated_is_dropped() -> None:
    deliver("Successfully validated SNS topic for Amazon SES event publishing.")

    assert (Inbox.objects.count(), InboxDead.objects.count()) == (0, 0)


def test_a_message_that_fails_again_and_again_is_buried_and_the_others_go_on(
    letter: Mailout, monkeypatch: pytest.MonkeyPatch
) -> None:

    def explode(events: Any) -> Any:
        if any(found.type == EventType.COMPLAINED for found in events):
            raise ZeroDivisionError("poison")
        return apply_events(events)

    monkeypatch.setattr(processing, "apply_events", explode)
    store(about("complaint", letter), about("delivery", letter))

    assert process_inbox() == 1
    assert message(letter).delivered_at is not None
    assert Inbox.objects.get().attempts == 1
    for _ in range(3):
        assert process_inbox() == 0
    assert process_inbox() == 1

    assert InboxDead.objects.get().error == "ZeroDivisionError: poison"
    assert Inbox.objects.count() == 0


def test_text_that_the_database_refuses_is_cleaned(letter: Mailout) -> None:
    deliver(about("delivery", letter, body={"smtpResponse": "250 \0 ok" + "x" * 1000}))

    detail = DeliveryEvent.objects.get().detail
    assert detail == {"smtp": ("250  ok" + "x" * 1000)[:300]}


def test_facts_older_than_the_events_that_are_kept_stay(letter: Mailout) -> None:
    early = datetime(2026, 11, 3, 10, 30, tzinfo=UTC)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE delivery_message SET clicked_at = %s, clicked_human_at = %s", [early, early])

    deliver(about("click", letter))

    assert (message(letter).clicked_at, message(letter).clicked_human_at) == (early, early)


def test_the_databases_own_trouble_is_nobodys_fault(letter: Mailout, monkeypatch: pytest.MonkeyPatch) -> None:
    store(about("delivery", letter))
    monkeypatch.setattr(processing, "apply_events", Mock(side_effect=OperationalError("gone")))

    with pytest.raises(OperationalError):
        process_inbox()

    assert Inbox.objects.get().attempts == 0


def test_trouble_while_taking_a_batch_apart_is_not_counted_either(
    letter: Mailout, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(about("delivery", letter))
    monkeypatch.setattr(processing, "apply_events", Mock(side_effect=[ValueError("bad"), OperationalError("gone")]))

    with pytest.raises(OperationalError):
        process_inbox()

    assert Inbox.objects.get().attempts == 0


def test_an_empty_inbox_is_nothing_to_do() -> None:
    assert process_inbox() == 0


def test_transactional_mail_to_no_subscriber_counts_without_engagement(acme: Organization) -> None:
    mailout = make_mailout(acme, kind="transactional")
    add_message(mailout, 1, None)
    MessageAddress.objects.create(mailout_id=mailout.pk, n=1, address="guest@example.com")

    deliver(about("delivery", mailout, to="guest@example.com"))

    assert StatEmail.objects.get().uniq == 1
    assert Engagement.objects.count() == 0


def test_a_failing_message_that_another_processor_took_meanwhile_is_left_to_it(
    letter: Mailout, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(about("delivery", letter))
    take = processing._take
    answers = iter([take, take, lambda *args: []])
    monkeypatch.setattr(processing, "apply_events", Mock(side_effect=ValueError("bad")))
    monkeypatch.setattr(processing, "_take", lambda *args: next(answers)(*args))

    assert process_inbox() == 0
    assert Inbox.objects.get().attempts == 0
