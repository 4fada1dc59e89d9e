from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.apps import apps
from django.utils import timezone

from amazonsender.core.errors import Conflict, InvalidInput
from organizations.models import AuditEntry, Organization, User
from subscribers.addresses import InvalidAddress
from subscribers.models import AttributeDefinition, List, Subscriber, Subscription, Suppression
from subscribers.selectors.lists import count_subscribed
from subscribers.selectors.mailability import mailability
from subscribers.selectors.people import memberships, search_people
from subscribers.services.attributes import create_attribute, delete_attribute
from subscribers.services.consent import resubscribe, subscribe, unsubscribe
from subscribers.services.lists import create_list, delete_list
from subscribers.services.subscribers import create_subscriber, delete_subscriber, update_subscriber
from subscribers.services.suppressing import suppress
from subscribers.timeline import TimelineEvent, person_timeline
from subscribers.values import (
    BadValueError,
    parse_boolean,
    parse_date,
    parse_datetime,
    parse_list,
    parse_number,
)

pytestmark = pytest.mark.django_db
NOW = datetime.datetime(2026, 11, 20, 9, tzinfo=datetime.UTC)


def test_a_person_is_stored_clean_and_once(acme: Organization, other: Organization) -> None:
    person = create_subscriber(
        organization=acme, email=" Ana@Example.com", first_name=" A\r\nBcc: x \x00", tags=["a", " a", "b", ""]
    )

    assert (person.email, person.address_key) == ("Ana@Example.com", "ana@example.com")
    assert (person.first_name, person.tags, person.domain.name) == ("A Bcc: x", ["a", "b"], "example.com")
    with pytest.raises(Conflict):
        create_subscriber(organization=acme, email="ana@EXAMPLE.com")
    assert create_subscriber(organization=other, email="ana@example.com").pk != person.pk
    with pytest.raises(InvalidAddress):
        create_subscriber(organization=acme, email="ana")


def test_attributes_are_checked_by_their_type(acme: Organization) -> None:
    create_attribute(organization=acme, key="points", type="number")
    create_attribute(organization=acme, key="plan", type="choice", choices=["Basic", "Gold"])
    create_attribute(organization=acme, key="since", type="date")
    create_attribute(organization=acme, key="likes", type="list")
    create_attribute(organization=acme, key="member", type="boolean")

    person = create_subscriber(
        organization=acme,
        email="a@example.com",
        attributes={"points": "1 240,5", "plan": "gold", "since": "31.12.2026", "likes": ["a", "b"], "member": True},
    )

    assert person.attributes == {
        "points": 1240.5,
        "plan": "Gold",
        "since": "2026-12-31",
        "likes": ["a", "b"],
        "member": True,
    }
    bad: list[dict[str, Any]] = [
        {"points": "many"},
        {"plan": "Silver"},
        {"since": "soon"},
        {"nope": 1},
        {"points": True},
    ]
    for values in bad:
        with pytest.raises(InvalidInput):
            update_subscriber(subscriber=person, attributes=values)
    updated = update_subscriber(subscriber=person, attributes={"plan": None, "points": 3})
    assert updated.attributes == {"points": 3, "since": "2026-12-31", "likes": ["a", "b"], "member": True}


def test_a_changed_address_stamps_the_person_and_another_spelling_does_not(acme: Organization, ana: Subscriber) -> None:
    update_subscriber(subscriber=ana, email="ANA@example.com", first_name="Anna")
    ana.refresh_from_db()
    assert (ana.email, ana.opted_out_at) == ("ANA@example.com", None)

    update_subscriber(subscriber=ana, email="ana@example.org")

    ana.refresh_from_db()
    assert (ana.address_key, ana.domain.name) == ("ana@example.org", "example.org")
    assert ana.opted_out_at is not None
    create_subscriber(organization=acme, email="taken@example.com")
    with pytest.raises(Conflict):
        update_subscriber(subscriber=ana, email="taken@example.com")


def test_deleting_somebody_who_left_leaves_a_suppression_behind(acme: Organization, ana: Subscriber, bob: User) -> None:
    unsubscribe(subscriber=ana, list_id=None, method="page", at=NOW)
    active = create_subscriber(organization=acme, email="b@example.com")

    for person in (ana, active):
        delete_subscriber(subscriber=person, actor=bob)

    assert list(Suppression.objects.values_list("address_key", "scope", "reason")) == [
        ("ana@example.com", "marketing", "unsubscribe")
    ]
    assert Subscriber.objects.count() == 0
    assert AuditEntry.objects.filter(action="subscriber.deleted", actor=bob).count() == 2


def test_a_list_goes_only_when_nothing_is_going_to_use_it(acme: Organization, news: List, ana: Subscriber) -> None:
    subscribe(subscriber=ana, list_id=news.pk, method="form", at=NOW)
    campaign = apps.get_model("campaigns", "Campaign").objects.create(organization=acme, name="December letter")
    campaign.excluded_lists.add(news)

    with pytest.raises(Conflict, match="December letter"):
        delete_list(mailing_list=news)
    campaign.state = "sent"
    campaign.save()
    delete_list(mailing_list=news)

    assert List.objects.count() == Subscription.objects.count() == 0
    assert Subscriber.objects.count() == 1


def test_an_opt_out_from_a_deleted_list_is_none_from_everything(
    acme: Organization, ana: Subscriber, news: List
) -> None:
    offers = create_list(organization=acme, name="Offers")
    for one in (news, offers):
        subscribe(subscriber=ana, list_id=one.pk, method="form", at=NOW)
    unsubscribe(subscriber=ana, list_id=news.pk, method="page", at=NOW + datetime.timedelta(days=1))

    delete_list(mailing_list=news)

    assert [row.is_on for row in memberships(ana)] == [True]
    assert "Unsubscribed from a deleted list" in [event.what for event in person_timeline(ana)]
    assert resubscribe(subscriber=ana, list_id=None, method="page", at=NOW) is False


def test_a_list_has_its_name_alone(acme: Organization, other: Organization, news: List) -> None:
    with pytest.raises(Conflict):
        create_list(organization=acme, name=" News ")
    assert create_list(organization=other, name="News")
    with pytest.raises(InvalidInput):
        create_list(organization=acme, name=" ")


@pytest.mark.parametrize("key", ["Email", "email", "first name", "1st", "", "x" * 61, "attributes"])
def test_a_key_must_be_a_variable_of_its_own(acme: Organization, key: str) -> None:
    with pytest.raises(InvalidInput):
        create_attribute(organization=acme, key=key)
    assert AttributeDefinition.objects.count() == 0


def test_deleting_an_attribute_takes_its_values_along(acme: Organization, other: Organization) -> None:
    for organization in (acme, other):
        create_attribute(organization=organization, key="city")
        create_subscriber(organization=organization, email="a@example.com", attributes={"city": "Riga"})

    assert delete_attribute(attribute=AttributeDefinition.objects.get(organization=acme)) == 1

    assert Subscriber.objects.get(organization=acme).attributes == {}
    assert Subscriber.objects.get(organization=other).attributes == {"city": "Riga"}


def test_people_are_found_by_the_start_of_address_or_name(acme: Organization, ana: Subscriber) -> None:
    create_subscriber(organization=acme, email="lev@bücher.example", first_name="Lev", last_name="Orlov")
    everybody = Subscriber.objects.for_organization(acme)

    def found(term: str) -> list[str]:
        return sorted(search_people(everybody, term).values_list("address_key", flat=True))

    lev = "lev@xn--bcher-kva.example"
    assert found("ana@") == found("ANA@Example.com") == ["ana@example.com"]
    assert (
        found("lev@bücher.example") == found("Orlov") == found("orl") == found("lev or") == found("Orlov Lev") == [lev]
    )
    assert found("%") == found("nobody") == []
    assert found("  ") == ["ana@example.com", lev]


def test_whether_we_may_mail_somebody_is_said_with_the_reason(acme: Organization, ana: Subscriber, news: List) -> None:
    assert mailability(ana).may is False
    subscribe(subscriber=ana, list_id=news.pk, method="form", at=NOW)
    answer = mailability(ana)
    assert (answer.may, answer.headline, answer.reason) == (
        True,
        "You may mail Ana.",
        "Agreed on 20 Nov 2026 (form).",
    )

    suppress(organization=acme, address_key=ana.address_key, scope="marketing", reason="manual", source="", at=NOW)
    assert mailability(ana).reason == "The address is on the suppression list: Added by hand."
    suppress(organization=acme, address_key=ana.address_key, scope="all", reason="hard_bounce", source="", at=NOW)
    ana.refresh_from_db()
    answer = mailability(ana)
    assert answer.headline == "You can't mail Ana."
    assert answer.reason.startswith("The mailbox did not exist on 20 Nov 2026.")
    suppress(organization=acme, address_key=ana.address_key, scope="all", reason="complaint", source="", at=NOW)
    ana.refresh_from_db()
    assert "spam" in mailability(ana).reason


def test_memberships_carry_the_record_that_led_to_them(ana: Subscriber, news: List, acme: Organization) -> None:
    offers = create_list(organization=acme, name="Offers")
    subscribe(subscriber=ana, list_id=news.pk, method="form", at=NOW)
    subscribe(subscriber=ana, list_id=offers.pk, method="import", at=NOW)
    unsubscribe(subscriber=ana, list_id=offers.pk, method="one_click", at=NOW + datetime.timedelta(days=1))

    rows = memberships(ana)

    assert [(row.name, row.is_on, row.consent and row.consent.method) for row in rows] == [
        ("News", True, "form"),
        ("Offers", False, "one_click"),
    ]


def test_the_timeline_is_newest_first_and_takes_events_of_other_apps(
    ana: Subscriber, news: List, monkeypatch: pytest.MonkeyPatch
) -> None:
    from subscribers import timeline

    subscribe(subscriber=ana, list_id=news.pk, method="form", at=timezone.now() - datetime.timedelta(days=2))
    sent = TimelineEvent(timezone.now() + datetime.timedelta(minutes=1), "Got “December letter”", kind="email")
    monkeypatch.setattr(timeline, "_PROVIDERS", [*timeline._PROVIDERS, lambda person, limit: [sent]])

    assert [event.what for event in person_timeline(ana)] == ["Got “December letter”", "Added", "Subscribed to News"]
    assert [event.what for event in person_timeline(ana, limit=1)] == ["Got “December letter”"]


def test_people_on_lists_are_counted_without_those_who_left(ana: Subscriber, news: List, acme: Organization) -> None:
    empty = create_list(organization=acme, name="Empty")
    left = create_subscriber(organization=acme, email="b@example.com")
    for person in (ana, left):
        subscribe(subscriber=person, list_id=news.pk, method="form", at=NOW)
    unsubscribe(subscriber=left, list_id=news.pk, method="page", at=NOW)

    assert count_subscribed([news.pk, empty.pk]) == {news.pk: 1, empty.pk: 0}


@pytest.mark.parametrize(
    ("text", "number"),
    [("1240", 1240), ("-3.5", -3.5), ("1 240,50", 1240.5), ("1,240.50", 1240.5), ("1.240,50", 1240.5), ("1,240", 1240),
     ("0,5", 0.5), ("1,240,000", 1240000), ("1\u00a0000", 1000), ("1'000", 1000), ("007", 7)],
)  # fmt: skip
def test_numbers_are_read_as_people_write_them(text: str, number: float) -> None:
    assert parse_number(text) == number


@pytest.mark.parametrize("text", ["many", "", "1e400", "nan", "inf", "1.2.3.4x", "9" * 16])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(BadValueError):
        parse_number(text)


def test_the_other_types_are_read_likewise() -> None:
    assert [parse_boolean(word) for word in ("Yes", "да", "0", "NEIN")] == [True, True, False, False]
    assert parse_date("04.03.2023") == "2023-03-04"
    assert parse_date("03/04/2023", "%m/%d/%Y") == "2023-03-04"
    assert parse_datetime("2026-11-20 09:30") == "2026-11-20T09:30:00+00:00"
    assert parse_datetime("20.11.2026 09:30") == "2026-11-20T09:30:00+00:00"
    assert parse_list("a, b;a\nc") == ["a", "b", "c"]
    for parse, text in (
        (parse_boolean, "maybe"),
        (parse_date, "31.02.2023"),
        (parse_datetime, "soon"),
        (parse_date, ""),
    ):
        with pytest.raises(BadValueError):
            parse(text)
