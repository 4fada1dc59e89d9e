from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from organizations.models import AuditEntry, Organization, User
from subscribers.models import AttributeDefinition, ConsentRecord, List, Subscriber, Subscription, Suppression
from subscribers.services.attributes import create_attribute
from subscribers.services.consent import subscribe
from subscribers.services.subscribers import create_subscriber
from subscribers.services.suppressing import suppress

pytestmark = pytest.mark.django_db


def page(client: Client, path: str) -> str:
    response = client.get(f"/admin/{path}", follow=True)
    assert response.status_code == 200, path
    return response.content.decode()


def test_the_list_of_people_takes_the_same_queries_however_long(
    bob_client: Client, acme: Organization, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    create_subscriber(organization=acme, email="first@example.com")
    page(bob_client, "subscribers/subscriber/")
    with CaptureQueriesContext(connection) as few:
        page(bob_client, "subscribers/subscriber/")
    for number in range(40):
        create_subscriber(organization=acme, email=f"p{number}@example.com")

    with django_assert_num_queries(len(few)):
        content = page(bob_client, "subscribers/subscriber/")

    assert content.count("@example.com</a>") == 25
    assert "p39@example.com" in content


def test_people_are_searched_and_filtered(bob_client: Client, acme: Organization, ana: Subscriber, news: List) -> None:
    lev = create_subscriber(organization=acme, email="lev@example.com", first_name="Lev")
    subscribe(subscriber=ana, list_id=news.pk, method="form", at=timezone.now())
    suppress(
        organization=acme, address_key=lev.address_key, scope="all", reason="complaint", source="", at=timezone.now()
    )

    for query, shown, hidden in (
        ("q=lev", "lev@example.com", "ana@example.com"),
        ("q=ANA@Example.com", "ana@example.com", "lev@example.com"),
        ("status=complained", "lev@example.com", "ana@example.com"),
        (f"list={news.pk}", "ana@example.com", "lev@example.com"),
    ):
        content = page(bob_client, f"subscribers/subscriber/?{query}")
        assert shown in content
        assert hidden not in content


def test_a_persons_page_says_whether_and_why_we_may_mail_them(
    bob_client: Client, acme: Organization, news: List
) -> None:
    create_attribute(organization=acme, key="city", label="City")
    ana = create_subscriber(
        organization=acme,
        email="ana@example.com",
        first_name="<Ana>",
        time_zone="Europe/Riga",
        attributes={"city": "Riga"},
    )
    subscribe(subscriber=ana, list_id=news.pk, method="form", at=timezone.now(), text="Yes, please")

    content = page(bob_client, f"subscribers/subscriber/{ana.pk}/change/")

    assert "You may mail &lt;Ana&gt;." in content
    assert "<Ana>" not in content
    for words in ("Subscribed to News", "Yes, please", "Riga", "Europe/Riga", "as-may--yes"):
        assert words in content
    suppress(
        organization=acme, address_key=ana.address_key, scope="all", reason="hard_bounce", source="", at=timezone.now()
    )
    content = page(bob_client, f"subscribers/subscriber/{ana.pk}/change/?show=email&all")
    assert "You can&#x27;t mail &lt;Ana&gt;." in content
    assert "Nothing of this kind yet." in content


def test_a_person_is_added_with_list_and_consent_and_changed(
    bob_client: Client, acme: Organization, news: List
) -> None:
    create_attribute(organization=acme, key="points", type="number")
    create_attribute(organization=acme, key="member", type="boolean")
    form = {"email": "New@Example.com", "first_name": "N", "tags": "a, b", "attribute_points": "1 240", "list": news.pk}

    refused = bob_client.post("/admin/people/add/", form).content.decode()
    assert "Without it nobody may be put on a list." in refused
    assert Subscriber.objects.count() == 0
    bob_client.post("/admin/people/add/", {**form, "consent": "Asked at the till", "attribute_member": "true"})

    person = Subscriber.objects.get()
    assert (person.address_key, person.attributes) == ("new@example.com", {"points": 1240, "member": True})
    record = ConsentRecord.objects.get()
    assert (record.method, record.text, record.list) == ("admin", "Asked at the till", news)
    again = bob_client.post("/admin/people/add/", {"email": "new@example.com"}).content.decode()
    assert "is already among the subscribers" in again

    edit = f"/admin/people/{person.pk}/edit/"
    assert "1240" in bob_client.get(edit).content.decode()
    wrong = bob_client.post(edit, {"email": "new@localhost", "attribute_points": "1"}).content.decode()
    assert "The domain has no dot." in wrong
    bob_client.post(edit, {"email": "other@example.com", "first_name": "M", "attribute_points": ""})
    person.refresh_from_db()
    assert (person.email, person.first_name, person.attributes) == ("other@example.com", "M", {})
    assert person.opted_out_at is not None


def test_lists_are_changed_from_the_persons_page_with_their_consent(
    bob_client: Client, ana: Subscriber, news: List
) -> None:
    path = f"/admin/people/{ana.pk}/lists/"

    bob_client.post(path, {"list": news.pk, "act": "on"})
    assert Subscription.objects.count() == 0
    bob_client.post(path, {"list": news.pk, "act": "on", "consent": "On the phone"})
    assert Subscription.objects.get().state == "subscribed"
    bob_client.post(path, {"list": news.pk, "act": "off"})
    assert Subscription.objects.get().state == "unsubscribed"
    bob_client.post(f"/admin/people/{ana.pk}/unsubscribe/")
    ana.refresh_from_db()
    assert ana.status == "unsubscribed"
    bob_client.post(f"/admin/people/{ana.pk}/delete/")
    assert Subscriber.objects.count() == 0
    assert Suppression.objects.get().address_key == "ana@example.com"


def test_lists_show_their_people_and_go_when_nothing_uses_them(bob_client: Client, ana: Subscriber, news: List) -> None:
    subscribe(subscriber=ana, list_id=news.pk, method="form", at=timezone.now())
    assert "News" in page(bob_client, "subscribers/list/")
    assert "1 person is on this list." in page(bob_client, f"subscribers/list/{news.pk}/change/")

    bob_client.post("/admin/subscribers/list/add/", {"name": "Offers", "is_public": "on"})
    again = bob_client.post("/admin/subscribers/list/add/", {"name": "Offers"}).content.decode()
    assert "There is already a list with this name." in again
    bob_client.post(f"/admin/subscribers/list/{news.pk}/change/", {"name": "Letters", "description": "Monthly"})
    news.refresh_from_db()
    assert (news.name, news.description, news.is_public) == ("Letters", "Monthly", False)
    taken = bob_client.post(f"/admin/subscribers/list/{news.pk}/change/", {"name": "Offers"}).content.decode()
    assert "There is already a list with this name." in taken
    bob_client.post(f"/admin/audience-lists/{news.pk}/delete/")
    assert list(List.objects.values_list("name", flat=True)) == ["Offers"]


def test_an_address_is_suppressed_and_lifted_by_hand(bob_client: Client, bob: User, ana: Subscriber) -> None:
    form = {"email": "ANA@example.com", "scope": "all", "note": "asked on the phone"}
    assert "ana@example.com" in page(bob_client, "suppressed/add/?email=ana@example.com")
    bob_client.post("/admin/suppressed/add/", form)
    entry = Suppression.objects.get()
    assert "ana@example.com" in page(bob_client, "subscribers/suppression/?q=ana")
    assert "asked on the phone" in page(bob_client, f"subscribers/suppression/{entry.pk}/change/")
    wrong = bob_client.post("/admin/suppressed/add/", {**form, "email": "ana"}).content.decode()
    assert "There is no @ in it." in wrong
    unlisted = bob_client.post("/admin/suppressed/add/", {**form, "scope": "list"}).content.decode()
    assert "Choose the list." in unlisted

    bob_client.post(f"/admin/suppressed/{entry.pk}/lift/")

    assert Suppression.objects.count() == 0
    assert list(AuditEntry.objects.order_by("id").values_list("action", "actor")) == [
        ("suppression.added", bob.pk),
        ("suppression.lifted", bob.pk),
    ]


@pytest.mark.parametrize(
    ("reason", "source", "said", "warned"),
    [
        ("hard_bounce", "message:82000001/530", 'href="/admin/messages/82000001/530/"', "Another bounce hurts"),
        ("unsubscribe", "provider", "The provider’s report", "This person asked to get nothing more."),
        ("manual", "asked on the phone", "asked on the phone", ""),
    ],
)
def test_a_suppression_says_where_it_came_from_and_what_lifting_it_means(
    bob_client: Client, acme: Organization, reason: str, source: str, said: str, warned: str
) -> None:
    suppress(
        organization=acme,
        address_key="x@xn--bcher-kva.example",
        scope="all",
        reason=reason,
        source=source,
        at=timezone.now(),
    )
    entry = Suppression.objects.get()

    shown = page(bob_client, f"subscribers/suppression/{entry.pk}/change/")

    assert said in shown
    assert "message:82000001" not in shown
    assert "Nothing goes to x@bücher.example." in shown
    warnings = [words for words in ("Another bounce hurts", "asked to get nothing more") if words in shown]
    assert all(words in warned for words in warnings)
    assert bool(warnings) == bool(warned)
    assert "x@bücher.example" in page(bob_client, "subscribers/suppression/")


def test_a_date_is_shown_as_dates_are(bob_client: Client, acme: Organization, ana: Subscriber) -> None:
    create_attribute(organization=acme, key="since", type="date", label="Customer since")
    Subscriber.objects.filter(pk=ana.pk).update(attributes={"since": "2020-02-14"})

    assert "14 Feb 2020" in page(bob_client, f"subscribers/subscriber/{ana.pk}/change/")


def test_a_complaint_has_no_way_back(bob_client: Client, acme: Organization) -> None:
    suppress(
        organization=acme, address_key="x@example.com", scope="all", reason="complaint", source="", at=timezone.now()
    )
    entry = Suppression.objects.get()

    assert "Nobody can lift that." in page(bob_client, f"subscribers/suppression/{entry.pk}/change/")
    bob_client.post(f"/admin/suppressed/{entry.pk}/lift/")

    assert Suppression.objects.count() == 1


def test_fields_are_defined_once_with_a_key_that_emails_can_use(bob_client: Client, acme: Organization) -> None:
    path = "/admin/subscribers/attributedefinition/"
    for key in ("email", "Bad-Key"):
        assert bob_client.post(f"{path}add/", {"key": key, "type": "text"}).status_code == 422
    assert AttributeDefinition.objects.count() == 0

    bob_client.post(f"{path}add/", {"key": "city", "type": "text", "label": "City"})
    city = AttributeDefinition.objects.get()
    create_subscriber(organization=acme, email="a@example.com", attributes={"city": "Riga"})
    bob_client.post(f"{path}{city.pk}/change/", {"key": "town", "type": "number", "label": "Town"})
    city.refresh_from_db()
    assert (city.key, city.type, city.label) == ("city", "text", "Town")
    response = bob_client.post(f"/admin/fields/{city.pk}/delete/", follow=True)
    assert "“Town” is deleted; 1 person had a value." in response.content.decode()
    assert Subscriber.objects.get().attributes == {}
    assert AttributeDefinition.objects.count() == 0


def test_the_choices_of_a_field_can_be_changed_and_its_key_is_taken_once(
    bob_client: Client, acme: Organization
) -> None:
    path = "/admin/subscribers/attributedefinition/"
    roast = {"key": "roast", "type": "choice", "label": "Roast", "choices": "Light\n\n Dark \nDark"}
    bob_client.post(f"{path}add/", roast)
    made = AttributeDefinition.objects.get()
    assert made.choices == ["Light", "Dark"]

    assert "already an attribute with this key" in bob_client.post(f"{path}add/", roast).content.decode()
    long = bob_client.post(f"{path}{made.pk}/change/", {"label": "Roast", "choices": "x" * 121})
    assert (long.status_code, "at most 120 characters" in long.content.decode()) == (422, True)
    bob_client.post(f"{path}{made.pk}/change/", {"label": "Roast", "choices": "Light\nMedium"})

    made.refresh_from_db()
    assert made.choices == ["Light", "Medium"]


def test_who_may_not_import_is_not_led_there(bob_client: Client, carol_client: Client) -> None:
    shown = ["/admin/imports/new/" in page(client, "subscribers/subscriber/") for client in (bob_client, carol_client)]

    assert shown == [True, False]


@pytest.mark.parametrize(
    ("rows", "title"), [("subscriber", "Subscribers"), ("list", "Lists"), ("suppression", "Suppressions")]
)
def test_a_page_of_rows_is_named_like_every_other_page(bob_client: Client, rows: str, title: str) -> None:
    assert f"<title> {title} · AmazonSender</title>" in page(bob_client, f"subscribers/{rows}/")


def test_an_analyst_sees_a_field_and_changes_nothing(carol_client: Client, acme: Organization) -> None:
    city = create_attribute(organization=acme, key="city", label="City")
    path = f"/admin/subscribers/attributedefinition/{city.pk}/change/"

    assert "Delete the field" not in carol_client.get(path).content.decode()
    assert carol_client.post(path, {"label": "Town"}).status_code == 403
    assert carol_client.post(f"/admin/fields/{city.pk}/delete/").status_code == 403
    assert AttributeDefinition.objects.get().label == "City"


@pytest.mark.parametrize(
    ("get", "post"),
    [
        ("subscribers/subscriber/{ana}/change/", "people/{ana}/edit/"),
        ("people/{ana}/edit/", "people/{ana}/lists/"),
        ("subscribers/list/{news}/change/", "audience-lists/{news}/delete/"),
        ("subscribers/suppression/{stop}/change/", "suppressed/{stop}/lift/"),
        ("subscribers/attributedefinition/{city}/change/", "people/{ana}/delete/"),
        ("subscribers/attributedefinition/{city}/change/", "fields/{city}/delete/"),
        ("people/{ana}/edit/", "people/{ana}/unsubscribe/"),
    ],
)
def test_nothing_is_seen_or_done_from_another_organization(
    mallory_client: Client, acme: Organization, ana: Subscriber, news: List, get: str, post: str
) -> None:
    suppress(organization=acme, address_key="x@example.com", scope="all", reason="manual", source="", at=timezone.now())
    city = create_attribute(organization=acme, key="city")
    ids = {"ana": ana.pk, "news": news.pk, "stop": Suppression.objects.get().pk, "city": city.pk}

    assert mallory_client.get(f"/admin/{get.format(**ids)}").status_code == 404
    assert mallory_client.post(f"/admin/{post.format(**ids)}", {"list": news.pk, "act": "on"}).status_code == 404

    for path in ("subscriber", "list", "suppression", "attributedefinition"):
        content = mallory_client.get(f"/admin/subscribers/{path}/").content.decode()
        for secret in ("ana@example.com", "News", "x@example.com", ">City<"):
            assert secret not in content
    ana.refresh_from_db()
    assert (ana.status, List.objects.count(), Suppression.objects.count()) == ("active", 1, 1)


def test_an_analyst_reads_and_changes_nothing(carol_client: Client, ana: Subscriber, news: List) -> None:
    content = page(carol_client, f"subscribers/subscriber/{ana.pk}/change/")
    assert "ana@example.com" in content
    assert "<form" not in content.partition("<main")[2].partition("</main>")[0]

    for path in ("people/add/", f"people/{ana.pk}/edit/", "suppressed/add/"):
        assert carol_client.get(f"/admin/{path}").status_code == 403
    for path in (f"people/{ana.pk}/delete/", f"people/{ana.pk}/lists/", f"audience-lists/{news.pk}/delete/"):
        assert carol_client.post(f"/admin/{path}", {"list": news.pk}).status_code == 403
    assert carol_client.post(f"/admin/subscribers/list/{news.pk}/change/", {"name": "X"}).status_code == 403
    assert Subscriber.objects.count() == List.objects.count() == 1


def test_ctrl_k_finds_people_by_the_start_of_their_address(
    bob_client: Client, mallory_client: Client, ana: Subscriber
) -> None:
    assert b"ana@example.com" in bob_client.get("/admin/search/?s=ana&extended=1").content
    assert b"ana@example.com" not in mallory_client.get("/admin/search/?s=ana&extended=1").content


def test_filters_count_nothing(bob_client: Client, ana: Subscriber) -> None:
    content = bob_client.get("/admin/subscribers/subscriber/", {"_facets": "True"}).content.decode()

    assert "By status" in content
    assert "Show counts" not in content
    assert "Active (" not in content
