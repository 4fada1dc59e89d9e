"""Events that prove what became of a message whose answer never came, came early, or was another's."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import connection

from delivery.models import (
    DeliveryEvent,
    EventType,
    MessageState,
)
from delivery.services.events import process_inbox, store_reader_act
from organizations.models import Organization
from subscribers.models import Subscriber
from tests.delivery.events.mailouts import (
    DELIVERED_AT,
    SENT_AT,
    about,
    add_batch,
    add_message,
    make_mailout,
    message,
)
from tests.delivery.events.notifications import deliver, payload

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("name", ["send", "delivery", "bounce", "open", "delivery_delay"])
def test_any_event_settles_an_unknown_message(acme: Organization, ana: Subscriber, name: str) -> None:
    mailout = make_mailout(acme, state="finished", finished_at=SENT_AT)
    add_message(mailout, 1, ana, state=MessageState.UNKNOWN)
    batch = add_batch(mailout, 1, 2, unknown=1)

    deliver(about(name, mailout))

    found = message(mailout)
    assert (found.state, found.sent_at, found.provider_id) == (
        MessageState.SENT,
        datetime(2026, 11, 3, 10, tzinfo=UTC),
        payload(name)["mail"]["messageId"],
    )
    batch.refresh_from_db()
    mailout.refresh_from_db()
    assert (batch.sent, batch.unknown, mailout.is_account_stale) == (1, 0, True)


def test_the_batch_of_the_messages_attempt_is_the_one_that_counts_on(acme: Organization, ana: Subscriber) -> None:
    mailout = make_mailout(acme)
    add_message(mailout, 1, ana, state=MessageState.UNKNOWN, attempt=1)
    first = add_batch(mailout, 1, 2)
    again = add_batch(mailout, 0, 1, members=[1], attempt=1, unknown=1, armed_to=1)

    deliver(about("send", mailout))

    first.refresh_from_db()
    again.refresh_from_db()
    assert (first.sent, first.unknown, again.sent, again.unknown) == (0, 0, 1, 0)


def test_an_event_before_its_send_result_leaves_the_state_to_the_settling(acme: Organization, ana: Subscriber) -> None:
    mailout = make_mailout(acme)
    add_message(mailout, 1, ana, state=MessageState.QUEUED)
    batch = add_batch(mailout, 1, 2)

    deliver(about("delivery", mailout))

    found = message(mailout)
    assert (found.state, found.delivered_at) == (MessageState.QUEUED, DELIVERED_AT)
    assert found.provider_id == payload("delivery")["mail"]["messageId"]
    batch.refresh_from_db()
    assert batch.sent == 0


@pytest.mark.parametrize(
    ("name", "type_", "error"),
    [
        (
            "rendering_failure",
            EventType.FAILED,
            "rendering: Attribute 'first_name' is not present in the rendering data.",
        ),
        ("reject", EventType.REJECTED, "rejected: Bad content"),
    ],
)
@pytest.mark.parametrize(
    ("state", "counters"),
    [
        (MessageState.SENT, {"sent": 1}),
        (MessageState.UNKNOWN, {"unknown": 1}),
        (MessageState.QUEUED, {}),
    ],
)
def test_what_ses_accepted_and_then_refused_has_failed(
    acme: Organization,
    ana: Subscriber,
    name: str,
    type_: EventType,
    error: str,
    state: MessageState,
    counters: dict[str, int],
) -> None:
    mailout = make_mailout(acme)
    add_message(mailout, 1, ana, state=state)
    batch = add_batch(mailout, 1, 2, **counters)

    deliver(about(name, mailout), about("send", mailout))

    found = message(mailout)
    assert (found.state, found.error) == (MessageState.FAILED, error)
    assert DeliveryEvent.objects.get().type == type_
    batch.refresh_from_db()
    assert (batch.sent, batch.failed, batch.unknown) == (0, 1, 0)


def test_a_reader_who_opens_settles_an_unknown_message_and_the_provider_names_it_later(
    acme: Organization, ana: Subscriber
) -> None:
    mailout = make_mailout(acme)
    add_message(mailout, 1, ana, state=MessageState.UNKNOWN)
    add_batch(mailout, 1, 2, unknown=1)
    opened_at = datetime(2026, 11, 3, 12, tzinfo=UTC)
    store_reader_act(
        type_=EventType.OPENED, mailout_id=mailout.pk, n=1, at=opened_at, ip="", user_agent="Mozilla/5.0", link_no=None
    )
    process_inbox()
    assert (message(mailout).state, message(mailout).sent_at) == (MessageState.SENT, opened_at)

    deliver(about("delivery", mailout))

    found = message(mailout)
    assert (found.sent_at, found.provider_id) == (SENT_AT, payload("delivery")["mail"]["messageId"])


def test_a_message_that_was_never_to_be_sent_keeps_its_state(acme: Organization, ana: Subscriber) -> None:
    mailout = make_mailout(acme)
    add_message(mailout, 1, ana, state=MessageState.CANCELLED)
    batch = add_batch(mailout, 1, 2, cancelled=1)

    deliver(about("delivery", mailout), about("reject", mailout))

    batch.refresh_from_db()
    assert (message(mailout).state, batch.cancelled, batch.sent, batch.failed) == (MessageState.CANCELLED, 1, 0, 0)


def test_a_reader_of_a_waiting_message_proves_that_it_went_out_and_the_provider_names_it_later(
    acme: Organization, ana: Subscriber
) -> None:
    mailout = make_mailout(acme)
    add_message(mailout, 1, ana, state=MessageState.QUEUED)
    opened_at = datetime(2026, 11, 3, 12, tzinfo=UTC)
    store_reader_act(type_=EventType.OPENED, mailout_id=mailout.pk, n=1, at=opened_at, ip="", user_agent="x")
    process_inbox()
    found = message(mailout)
    assert (found.state, found.provider_id, found.sent_at) == (MessageState.QUEUED, "", opened_at)

    deliver(about("delivery", mailout))

    found = message(mailout)
    assert (found.state, found.sent_at) == (MessageState.QUEUED, SENT_AT)
    assert found.provider_id == payload("delivery")["mail"]["messageId"]


@pytest.mark.parametrize(
    ("state", "counter"),
    [
        (MessageState.FAILED, "failed"),
        (MessageState.EXCLUDED, "excluded"),
        (MessageState.CANCELLED, "cancelled"),
        (MessageState.UNKNOWN, "unknown"),
    ],
)
def test_a_proof_of_an_earlier_attempt_is_the_truth_whatever_became_of_the_later_one(
    acme: Organization, ana: Subscriber, state: MessageState, counter: str
) -> None:
    mailout = make_mailout(acme)
    add_message(mailout, 1, ana, state=state, attempt=1)
    first = add_batch(mailout, 1, 2)
    again = add_batch(mailout, 0, 1, members=[1], attempt=1, armed_to=1, **{counter: 1})

    deliver(about("delivery", mailout))
    deliver(about("delivery", mailout))

    first.refresh_from_db()
    again.refresh_from_db()
    assert (message(mailout).state, again.sent, getattr(again, counter)) == (MessageState.SENT, 1, 0)
    assert first.sent == 0


def test_a_rejection_of_the_first_attempt_leaves_a_failed_later_one_failed(acme: Organization, ana: Subscriber) -> None:
    mailout = make_mailout(acme)
    add_message(mailout, 1, ana, state=MessageState.FAILED, attempt=1, error="message_rejected: no")
    again = add_batch(mailout, 0, 1, members=[1], attempt=1, armed_to=1, failed=1)

    deliver(about("reject", mailout))

    again.refresh_from_db()
    assert (message(mailout).state, again.sent, again.failed) == (MessageState.FAILED, 0, 1)


def test_later_events_of_a_message_that_a_reader_settled_change_its_acceptance_no_more(
    acme: Organization, ana: Subscriber
) -> None:
    mailout = make_mailout(acme)
    add_message(mailout, 1, ana, provider_id=None)
    store_reader_act(type_=EventType.OPENED, mailout_id=mailout.pk, n=1, at=SENT_AT, ip="", user_agent="x")
    process_inbox()
    assert (message(mailout).sent_at, message(mailout).provider_id) == (SENT_AT, None)

    with connection.cursor() as cursor:
        cursor.execute("UPDATE delivery_message SET provider_id = 'known', sent_at = NULL")
    deliver(about("delivery", mailout))

    assert (message(mailout).sent_at, message(mailout).provider_id) == (None, "known")
