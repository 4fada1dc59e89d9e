"""Lists, subscribers, suppressions through the API."""

from __future__ import annotations

import pytest

from organizations.models import AuditEntry
from subscribers.models import ConsentRecord, List, Subscriber, Subscription, Suppression
from tests.api.conftest import Program
from tests.cast import Cast
from tests.factories import ListFactory, SubscriberFactory, SuppressionFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def news(cast: Cast) -> List:
    return ListFactory.create(organization=cast.acme, name="News")


def test_a_list_is_made_changed_and_deleted(api: Program) -> None:
    made = api("POST", "lists", {"name": "News", "is_public": False}).json()
    assert api("POST", "lists", {"name": "News"}).status_code == 409
    changed = api("PATCH", f"lists/{made['id']}", {"description": "Weekly"}).json()

    assert (changed["name"], changed["description"], changed["is_public"]) == ("News", "Weekly", False)
    assert api("DELETE", f"lists/{made['id']}").status_code == 204
    assert api("GET", f"lists/{made['id']}").status_code == 404


def test_a_person_is_put_by_address_and_the_second_time_changed(api: Program, news: List, cast: Cast) -> None:
    body = {
        "first_name": "Ann",
        "tags": ["vip"],
        "list_ids": [news.pk],
        "consent": {"text": "Yes, send me news", "source": "https://acme.example/form", "ip": "203.0.113.77"},
    }

    first = api("PUT", "subscribers/Ann@Example.com", body)
    second = api("PUT", "subscribers/ann@example.COM", {"last_name": "Lee"})

    assert (first.status_code, second.status_code) == (201, 200)
    person = Subscriber.objects.get()
    assert (person.first_name, person.last_name, person.tags) == ("Ann", "Lee", ["vip"])
    assert second.json()["subscriptions"][0]["state"] == "subscribed"
    consent = ConsentRecord.objects.get()
    assert (consent.method, consent.text, consent.ip) == ("api", "Yes, send me news", "203.0.113.0")
    assert api("GET", f"subscribers/{person.pk}").json() == api("GET", "subscribers/ANN@example.com").json()


def test_nobody_who_left_comes_back_unless_they_asked(api: Program, news: List) -> None:
    api("PUT", "subscribers/ann@example.com", {"list_ids": [news.pk]})
    api("DELETE", f"subscribers/ann@example.com/lists/{news.pk}")

    again = api("PUT", "subscribers/ann@example.com", {"list_ids": [news.pk]}).json()
    one = api("PUT", f"subscribers/ann@example.com/lists/{news.pk}", {}).json()
    assert again["left_out_list_ids"] == one["left_out_list_ids"] == [news.pk]
    assert Subscription.objects.get().state == "unsubscribed"

    back = api("PUT", f"subscribers/ann@example.com/lists/{news.pk}", {"comes_back": True}).json()
    assert back["left_out_list_ids"] == []
    assert Subscription.objects.get().state == "subscribed"


def test_whoever_left_everything_is_put_on_no_other_list(api: Program, news: List, cast: Cast) -> None:
    offers = ListFactory.create(organization=cast.acme, name="Offers")
    api("PUT", "subscribers/ann@example.com", {"list_ids": [news.pk]})
    left = api("POST", "subscribers/ann@example.com/unsubscribe").json()
    assert left["status"] == "unsubscribed"

    again = api("PUT", "subscribers/ann@example.com", {"list_ids": [offers.pk]}).json()
    assert (again["left_out_list_ids"], again["status"]) == ([offers.pk], "unsubscribed")
    back = api("PUT", "subscribers/ann@example.com", {"list_ids": [offers.pk], "consent": {"comes_back": True}}).json()
    assert back["status"] == "active"


def test_a_complaint_stays_a_complaint(api: Program, news: List) -> None:
    api("PUT", "subscribers/ann@example.com", {"list_ids": [news.pk]})
    api("DELETE", f"subscribers/ann@example.com/lists/{news.pk}")
    Subscriber.objects.update(status="complained")

    answer = api("PUT", f"subscribers/ann@example.com/lists/{news.pk}", {"comes_back": True})

    assert answer.status_code == 409
    assert Subscriber.objects.get().status == "complained"


def test_what_is_wrong_with_one_list_leaves_nothing_half_done(api: Program, news: List, cast: Cast) -> None:
    foreign = ListFactory.create(organization=cast.other)

    answer = api("PUT", "subscribers/ann@example.com", {"list_ids": [news.pk, foreign.pk]})

    assert answer.status_code == 400
    assert not Subscriber.objects.exists()


@pytest.mark.parametrize("address", ["ann", "ann@", "ann@example", "a b@example.com", "ann@exa_mple..com"])
def test_what_is_no_address_is_refused(api: Program, address: str) -> None:
    assert api("PUT", f"subscribers/{address}", {}).status_code == 400


def test_a_person_is_changed_and_deleted(api: Program, cast: Cast) -> None:
    person = SubscriberFactory.create(organization=cast.acme, email="ann@example.com")
    SubscriberFactory.create(organization=cast.acme, email="bea@example.com")

    assert api("PATCH", f"subscribers/{person.pk}", {"email": "bea@example.com"}).status_code == 409
    assert api("PATCH", f"subscribers/{person.pk}", {"email": "ann@example.org"}).json()["email"] == "ann@example.org"
    assert api("DELETE", "subscribers/ann@example.org").status_code == 204
    assert AuditEntry.objects.get(action="subscriber.deleted").detail["api_key"].startswith("Program (ask_")
    assert [one["email"] for one in api("GET", "subscribers").json()["data"]] == ["bea@example.com"]


def test_people_are_listed_by_list_and_status(api: Program, news: List, cast: Cast) -> None:
    api("PUT", "subscribers/ann@example.com", {"list_ids": [news.pk]})
    api("PUT", "subscribers/bea@example.com", {})
    SubscriberFactory.create(organization=cast.other)

    def found(query: str) -> list[str]:
        return [one["email"] for one in api("GET", f"subscribers{query}").json()["data"]]

    assert found("") == ["ann@example.com", "bea@example.com"]
    assert found(f"?list_id={news.pk}") == ["ann@example.com"]
    assert found("?status=bounced") == []
    assert api("GET", f"subscribers?list_id={ListFactory.create(organization=cast.other).pk}").status_code == 404


def test_an_address_is_suppressed_found_and_let_go(api: Program, cast: Cast) -> None:
    made = api("POST", "suppressions", {"email": "Ann@example.com", "note": "by phone"}).json()
    complaint = SuppressionFactory.create(organization=cast.acme, reason="complaint")

    assert (made["email"], made["scope"], made["reason"]) == ("ann@example.com", "marketing", "manual")
    assert [one["id"] for one in api("GET", "suppressions?email=ANN@example.com").json()["data"]] == [made["id"]]
    assert [one["id"] for one in api("GET", "suppressions").json()["data"]] == [complaint.pk, made["id"]]
    assert api("DELETE", f"suppressions/{complaint.pk}").status_code == 409
    assert api("DELETE", f"suppressions/{made['id']}").status_code == 204
    assert api("POST", "suppressions", {"email": "ann@example.com", "scope": "list"}).status_code == 400
    assert Suppression.objects.count() == 1


def test_others_see_and_change_nothing(stranger: Program, news: List, cast: Cast) -> None:
    person = SubscriberFactory.create(organization=cast.acme, email="ann@example.com")
    entry = SuppressionFactory.create(organization=cast.acme)

    for path in (f"lists/{news.pk}", f"subscribers/{person.pk}", "subscribers/ann@example.com"):
        assert stranger("GET", path).status_code == 404
        assert stranger("PATCH", path, {"name": "Mine", "first_name": "Mine"}).status_code == 404
        assert stranger("DELETE", path).status_code == 404
    assert stranger("DELETE", f"suppressions/{entry.pk}").status_code == 404
    assert stranger("PUT", f"subscribers/{person.pk}/lists/{news.pk}", {}).status_code == 404
    assert stranger("POST", f"subscribers/{person.pk}/unsubscribe").status_code == 404
    for path in ("lists", "subscribers", "suppressions"):
        assert stranger("GET", path).json()["data"] == []
