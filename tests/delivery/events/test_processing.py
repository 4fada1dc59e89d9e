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
    MessageState,
    SendingAccount,
    StatDomain,
    StatEmail,
    StatHour,
)
from delivery.services.events import process_inbox, processing, store_reader_act
from delivery.services.events.applying import apply_events
from organizations.models import Organization
from subscribers.models import Engagement, Subscriber, SubscriberStatus, Suppression
from tests.delivery.events.mailouts import SENT_AT, add_batch, add_message, make_mailout, make_subscriber
from tests.delivery.events.notifications import TOPIC, deliver, event, payload, store

pytestmark = pytest.mark.django_db

DELIVERED_AT = datetime(2026, 11, 3, 10, 0, 3, 512000, tzinfo=UTC)


@pytest.fixture
def ana(acme: Organization) -> Subscriber:
    return make_subscriber(acme, "ana@example.com")


@pytest.fixture
def letter(acme: Organization, ana: Subscriber) -> Mailout:
    mailout = make_mailout(acme)
    add_message(mailout, 1, ana)
    return mailout


def message(mailout: Mailout, n: int = 1) -> Message:
    return Message.objects.get(mailout_id=mailout.pk, n=n)


def about(name: str, mailout: Mailout, n: int = 1, **fields: Any) -> dict[str, Any]:
    return event(name, mailout_id=mailout.pk, n=n, **fields)


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


@pytest.mark.parametrize("name", ["bounce", "complaint"])
def test_an_identity_notification_alone_suppresses_within_the_topics_organization(
    acme: Organization, other: Organization, ana: Subscriber, name: str
) -> None:
    SendingAccount.objects.create(organization=acme, name="SES", topic_arns=[TOPIC])
    SendingAccount.objects.create(organization=other, name="SES", topic_arns=[TOPIC + "-other"])
    bystander = make_subscriber(other, "ana@example.com")

    deliver(event(f"{name}_identity"))

    assert Suppression.objects.get().organization_id == acme.pk
    ana.refresh_from_db()
    bystander.refresh_from_db()
    assert ana.status != SubscriberStatus.ACTIVE
    assert bystander.status == SubscriberStatus.ACTIVE


def test_an_identity_notification_with_our_header_finds_its_message(letter: Mailout) -> None:
    token = about("bounce", letter)["mail"]["tags"]["m"][0]
    headers = [{"name": "List-Unsubscribe", "value": f"<https://mail.example/u/abc?m={token}>"}]

    deliver(event("bounce_identity", headers=headers))

    assert message(letter).bounced_at == datetime(2026, 11, 3, 10, 0, 4, 12000, tzinfo=UTC)


@pytest.mark.parametrize("name", ["send", "delivery", "open", "click", "delivery_delay", "bounce_soft", "subscription"])
def test_events_that_are_no_bounces_suppress_nobody(letter: Mailout, ana: Subscriber, name: str) -> None:
    deliver(about(name, letter))

    ana.refresh_from_db()
    assert ana.status == SubscriberStatus.ACTIVE
    assert Suppression.objects.count() == 0
    assert message(letter).bounced_at is None
    assert InboxDead.objects.count() == 0


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


def test_a_hard_bounce_suppresses_everything_at_once(letter: Mailout, acme: Organization, ana: Subscriber) -> None:
    deliver(about("bounce", letter))

    assert Suppression.objects.values_list("organization_id", "address_key", "scope", "reason").get() == (
        acme.pk,
        "ana@example.com",
        "all",
        "hard_bounce",
    )
    ana.refresh_from_db()
    assert ana.status == SubscriberStatus.BOUNCED
    assert ana.opted_out_at is not None


def test_a_complaint_suppresses_at_once_and_outlives_a_bounce(letter: Mailout, ana: Subscriber) -> None:
    deliver(about("complaint", letter))
    deliver(about("bounce", letter))

    assert Suppression.objects.get().reason == "complaint"
    ana.refresh_from_db()
    assert ana.status == SubscriberStatus.COMPLAINED


def test_a_suppression_list_bounce_is_no_bounce_and_no_complaint_but_is_not_mailed_again(letter: Mailout) -> None:
    held_back = {"bounceSubType": "OnAccountSuppressionList"}
    deliver(about("bounce", letter, body=held_back))
    deliver(about("complaint", letter, body={"complaintSubType": "OnAccountSuppressionList"}))

    assert set(StatEmail.objects.values_list("type", flat=True)) == {EventType.REJECTED}
    found = message(letter)
    assert (found.bounced_at, found.complained_at, found.state) == (None, None, MessageState.SENT)
    assert Suppression.objects.get().reason == "provider"


@pytest.mark.parametrize("address", ["Ana <ANA@Example.com>", "<ana@example.com>", "ANA@EXAMPLE.COM"])
def test_a_destination_is_found_however_it_is_written(letter: Mailout, address: str) -> None:
    deliver(about("bounce", letter, to=address))

    assert Suppression.objects.get().address_key == "ana@example.com"


def test_a_bounce_in_punycode_finds_the_person_with_a_unicode_domain(acme: Organization) -> None:
    person = make_subscriber(acme, "x@xn--bcher-kva.example")
    Subscriber.objects.filter(pk=person.pk).update(email="x@bücher.example")
    mailout = make_mailout(acme)
    add_message(mailout, 1, person)

    deliver(about("bounce", mailout, to="x@xn--bcher-kva.example"))

    person.refresh_from_db()
    assert person.status == SubscriberStatus.BOUNCED


def test_a_forwarded_bounce_hits_the_address_we_wrote_to(letter: Mailout) -> None:
    deliver(about("bounce", letter, body={"bouncedRecipients": [{"emailAddress": "elsewhere@example.net"}]}))

    assert list(Suppression.objects.values_list("address_key", flat=True)) == ["ana@example.com"]


def test_an_event_for_somebody_elses_destination_suppresses_nobody(letter: Mailout, ana: Subscriber) -> None:
    deliver(about("bounce", letter, to="stranger@example.net"))

    ana.refresh_from_db()
    assert ana.status == SubscriberStatus.ACTIVE
    assert Suppression.objects.count() == 0
    assert message(letter).bounced_at is None
    assert InboxDead.objects.get().error == "the destination is not the message's"


def test_a_bounce_for_the_old_address_leaves_the_new_one_mailable(letter: Mailout, ana: Subscriber) -> None:
    Subscriber.objects.filter(pk=ana.pk).update(email="new@example.com", address_key="new@example.com")

    deliver(about("bounce", letter, to="ana@example.com"))

    assert Suppression.objects.get().address_key == "ana@example.com"
    ana.refresh_from_db()
    assert ana.status == SubscriberStatus.ACTIVE
    assert message(letter).bounced_at is not None


def lose_messages(mailout: Mailout) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM delivery_message WHERE mailout_id = %s", [mailout.pk])


@pytest.mark.parametrize("is_of_its_account", [True, False])
def test_a_late_bounce_whose_message_is_gone_suppresses_within_the_tags_organization(
    acme: Organization, other: Organization, ana: Subscriber, is_of_its_account: bool
) -> None:
    """Over a topic of the account that it left through, also a shared one, or of its organization's later account."""
    account = SendingAccount.objects.create(organization=other, name="SES", topic_arns=[TOPIC])
    if not is_of_its_account:
        SendingAccount.objects.update(topic_arns=[])
        SendingAccount.objects.create(organization=acme, name="New", topic_arns=[TOPIC])
    mailout = make_mailout(acme, account=account)

    deliver(about("bounce", mailout))

    assert Suppression.objects.get().organization_id == acme.pk


@pytest.mark.parametrize("name", ["bounce", "complaint"])
def test_over_a_topic_of_somebody_else_it_suppresses_nobody(
    letter: Mailout, acme: Organization, other: Organization, name: str
) -> None:
    SendingAccount.objects.create(organization=other, name="SES", topic_arns=[TOPIC])
    Mailout.objects.update(account=SendingAccount.objects.create(organization=acme, name="SES", topic_arns=["ours"]))
    lose_messages(letter)

    deliver(about(name, letter))

    assert Suppression.objects.count() == 0
    assert InboxDead.objects.get().error == "the message is gone, and the topic is not its account's"


def test_a_bounce_of_a_mailout_that_was_never_here_suppresses_nobody(acme: Organization) -> None:
    SendingAccount.objects.create(organization=acme, name="SES", topic_arns=[TOPIC])

    deliver(event("bounce", mailout_id=83_000_001, n=1))

    assert Suppression.objects.count() == 0
    assert InboxDead.objects.count() == 1


def test_the_bounce_of_an_erased_person_still_suppresses_the_address(letter: Mailout, ana: Subscriber) -> None:
    ana.delete()

    deliver(about("bounce", letter))

    assert Suppression.objects.get().address_key == "ana@example.com"


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


def test_the_bounce_of_a_test_recipient_who_is_no_subscriber_suppresses_the_address(acme: Organization) -> None:
    mailout = make_mailout(acme, kind="test")
    add_message(mailout, 1, None)
    MessageAddress.objects.create(mailout_id=mailout.pk, n=1, address="Boss@Acme.example")

    deliver(about("bounce", mailout, to="boss@acme.example"))

    assert Suppression.objects.get().address_key == "boss@acme.example"


def test_automatic_replies_never_add_up(acme: Organization, ana: Subscriber) -> None:
    for _ in range(6):
        mailout = make_mailout(acme)
        add_message(mailout, 1, ana)
        deliver(about("bounce_autoreply", mailout))

    assert Suppression.objects.count() == 0
    assert not Engagement.objects.filter(soft_bounces__gt=0).exists()


def test_five_soft_bounced_mailouts_in_a_row_pause_marketing_for_thirty_days(
    acme: Organization, ana: Subscriber
) -> None:
    for _ in range(4):
        mailout = make_mailout(acme)
        add_message(mailout, 1, ana)
        deliver(about("bounce_soft", mailout), about("bounce_soft", mailout, body={"feedbackId": "again"}))
    assert Suppression.objects.count() == 0

    mailout = make_mailout(acme)
    add_message(mailout, 1, ana)
    deliver(about("bounce_soft", mailout))

    assert Engagement.objects.get(subscriber=ana).soft_bounces == 5
    paused = Suppression.objects.get()
    assert (paused.scope, paused.reason, paused.expires_at) == (
        "marketing",
        "soft_bounce",
        datetime(2026, 12, 3, 10, 5, tzinfo=UTC),
    )
    ana.refresh_from_db()
    assert ana.status == SubscriberStatus.ACTIVE


def test_a_delivery_ends_a_pause_for_soft_bounces(acme: Organization, ana: Subscriber) -> None:
    mailouts = [make_mailout(acme) for _ in range(5)]
    for mailout in mailouts:
        add_message(mailout, 1, ana)
        deliver(about("bounce_soft", mailout))

    deliver(about("delivery", mailouts[-1], body={"timestamp": "2026-11-03T11:00:00Z"}))

    assert Suppression.objects.count() == 0
    assert Engagement.objects.get(subscriber=ana).soft_bounces == 0


def test_soft_bounces_for_the_messages_sake_never_count(acme: Organization, ana: Subscriber) -> None:
    for _ in range(5):
        mailout = make_mailout(acme)
        add_message(mailout, 1, ana)
        deliver(about("bounce_soft", mailout, body={"bounceSubType": "ContentRejected"}))

    assert Suppression.objects.count() == 0
    assert Engagement.objects.get(subscriber=ana).soft_bounces == 0


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


def test_an_unreadable_destination_without_a_token_suppresses_nobody(acme: Organization) -> None:
    SendingAccount.objects.create(organization=acme, name="SES", topic_arns=[TOPIC])

    deliver(event("bounce_identity", to="not an address"))

    assert Suppression.objects.count() == 0
    assert (Inbox.objects.count(), InboxDead.objects.count()) == (0, 0)


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
