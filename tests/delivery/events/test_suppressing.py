"""Who is not mailed again after an event, for how long, and who is not meant by it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.db import connection

from delivery.models import (
    EventType,
    Inbox,
    InboxDead,
    Mailout,
    MessageAddress,
    MessageState,
    SendingAccount,
    StatEmail,
)
from organizations.models import Organization
from subscribers.models import Engagement, Subscriber, SubscriberStatus, Suppression
from tests.delivery.events.mailouts import (
    about,
    add_message,
    make_mailout,
    make_subscriber,
    message,
)
from tests.delivery.events.notifications import TOPIC, deliver, event

pytestmark = pytest.mark.django_db


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


def test_an_unreadable_destination_without_a_token_suppresses_nobody(acme: Organization) -> None:
    SendingAccount.objects.create(organization=acme, name="SES", topic_arns=[TOPIC])

    deliver(event("bounce_identity", to="not an address"))

    assert Suppression.objects.count() == 0
    assert (Inbox.objects.count(), InboxDead.objects.count()) == (0, 0)
