from __future__ import annotations

import datetime
import threading

import pytest
from django.db import DatabaseError, connection
from django.utils import timezone

from amazonsender.core.errors import Conflict, InvalidInput
from organizations.models import AuditEntry, Organization, User
from subscribers.addresses import InvalidAddress
from subscribers.models import List, Subscriber, SubscriberStatus, Suppression, SuppressionReason
from subscribers.services.subscribers import create_subscriber
from subscribers.services.suppressing import (
    SuppressionRequest,
    lift_suppression,
    suppress,
    suppress_by_hand,
    suppress_many,
)

pytestmark = pytest.mark.django_db
NOW = datetime.datetime(2026, 11, 20, 9, tzinfo=datetime.UTC)


def stop(organization: Organization | None, key: str, reason: str, scope: str = "all", **more: object) -> None:
    suppress(organization=organization, address_key=key, scope=scope, reason=reason, source="t", at=NOW, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reason", "scope", "status"),
    [
        ("hard_bounce", "all", "bounced"),
        ("invalid", "all", "bounced"),
        ("complaint", "all", "complained"),
        ("unsubscribe", "marketing", "unsubscribed"),
        ("manual", "all", "active"),
        ("soft_bounce", "marketing", "active"),
    ],
)
def test_a_suppression_stamps_the_person_with_that_address(
    acme: Organization, ana: Subscriber, reason: str, scope: str, status: str
) -> None:
    stop(acme, "ana@example.com", reason, scope)

    ana.refresh_from_db()
    assert ana.status == status
    assert ana.opted_out_at is not None


def test_an_unknown_address_gets_its_suppression(acme: Organization) -> None:
    stop(acme, "nobody@example.com", "hard_bounce")

    assert Suppression.objects.get().address_key == "nobody@example.com"


def test_the_same_address_of_another_organization_is_left_alone(
    acme: Organization, other: Organization, ana: Subscriber
) -> None:
    theirs = create_subscriber(organization=other, email="ana@example.com")

    stop(acme, "ana@example.com", "complaint")

    theirs.refresh_from_db()
    assert (theirs.status, theirs.opted_out_at) == (SubscriberStatus.ACTIVE, None)


def test_the_platforms_scope_reaches_every_organization(other: Organization, ana: Subscriber) -> None:
    theirs = create_subscriber(organization=other, email="ana@example.com")

    stop(None, "ana@example.com", "hard_bounce")

    for person in (ana, theirs):
        person.refresh_from_db()
        assert person.status == SubscriberStatus.BOUNCED
        assert person.opted_out_at is not None


def test_nothing_ever_becomes_more_mailable(acme: Organization, ana: Subscriber) -> None:
    for reason, status in [
        ("unsubscribe", "unsubscribed"),
        ("hard_bounce", "bounced"),
        ("unsubscribe", "bounced"),
        ("complaint", "complained"),
        ("hard_bounce", "complained"),
    ]:
        stop(acme, "ana@example.com", reason)
        ana.refresh_from_db()
        assert ana.status == status
    assert Suppression.objects.get().reason == SuppressionReason.COMPLAINT


def test_a_suppression_for_a_while_never_shortens_one_for_good(acme: Organization) -> None:
    later = NOW + datetime.timedelta(days=30)
    stop(acme, "a@example.com", "manual", "marketing")
    stop(acme, "a@example.com", "soft_bounce", "marketing", expires_at=later)
    stop(acme, "b@example.com", "soft_bounce", "marketing", expires_at=later)
    stop(acme, "b@example.com", "soft_bounce", "marketing", expires_at=NOW)

    assert dict(Suppression.objects.values_list("address_key", "expires_at")) == {
        "a@example.com": None,
        "b@example.com": later,
    }


def test_many_addresses_are_one_transaction_and_a_repeat_changes_nothing(acme: Organization, ana: Subscriber) -> None:
    requests = [SuppressionRequest(f"p{i}@example.com", "all", "hard_bounce", "ses") for i in range(50)]
    requests.append(SuppressionRequest("ana@example.com", "all", "complaint", "ses"))

    for _time in range(2):
        suppress_many(organization=acme, requests=requests, at=NOW)

    assert Suppression.objects.count() == 51
    ana.refresh_from_db()
    assert ana.status == SubscriberStatus.COMPLAINED


@pytest.mark.django_db(transaction=True)
def test_writers_in_opposite_orders_never_deadlock(acme: Organization) -> None:
    keys = [f"p{i}@example.com" for i in range(40)]
    for key in keys:
        create_subscriber(organization=acme, email=key)
    errors: list[DatabaseError] = []

    def write(order: list[str]) -> None:
        try:
            for _time in range(10):
                requests = [SuppressionRequest(key, "all", "hard_bounce") for key in order]
                suppress_many(organization=acme, requests=requests, at=timezone.now())
        except DatabaseError as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(order,)) for order in (keys, keys[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert Subscriber.objects.filter(status="bounced").count() == 40


def test_lifting_a_bounce_makes_the_person_mailable_and_is_written_down(
    acme: Organization, ana: Subscriber, bob: User
) -> None:
    stop(acme, "ana@example.com", "hard_bounce")

    lift_suppression(suppression=Suppression.objects.get(), actor=bob)

    ana.refresh_from_db()
    assert (ana.status, Suppression.objects.count()) == (SubscriberStatus.ACTIVE, 0)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.actor, entry.detail) == ("suppression.lifted", bob, {"reason": "hard_bounce"})


def test_a_complaint_and_the_platforms_entries_are_not_lifted(acme: Organization, ana: Subscriber) -> None:
    stop(acme, "ana@example.com", "complaint")
    stop(None, "b@example.com", "manual")

    for entry in Suppression.objects.all():
        with pytest.raises(Conflict):
            lift_suppression(suppression=entry)

    assert Suppression.objects.count() == 2
    ana.refresh_from_db()
    assert ana.status == SubscriberStatus.COMPLAINED


def test_by_hand_an_address_is_found_by_its_canonical_form(
    acme: Organization, ana: Subscriber, bob: User, news: List
) -> None:
    entry = suppress_by_hand(organization=acme, email=" ANA@Example.com", scope="marketing", note="phone", actor=bob)

    assert (entry.address_key, entry.reason, entry.source) == ("ana@example.com", "manual", "phone")
    ana.refresh_from_db()
    assert ana.opted_out_at is not None
    with pytest.raises(InvalidAddress):
        suppress_by_hand(organization=acme, email="ana", scope="all", actor=bob)
    with pytest.raises(InvalidInput):
        suppress_by_hand(organization=acme, email="b@example.com", scope="list", actor=bob)
    suppress_by_hand(organization=acme, email="b@example.com", scope="list", list_id=news.pk, actor=bob)
    assert Suppression.objects.latest("id").list_id == news.pk
