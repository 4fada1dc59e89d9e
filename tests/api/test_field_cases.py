"""Ways in which programs hurt such products, tried through the API: addresses, doubled calls, other people's ids."""

from __future__ import annotations

import datetime
import threading
from urllib.parse import quote

import pytest
from django.db import connection
from django.utils import timezone

from campaigns.models import Campaign
from delivery.models import Mailout, Message, SendingAccount
from subscribers.models import List, Subscriber
from tests.api.conftest import Program, program_of
from tests.cast import Cast
from tests.factories import ListFactory, SubscriberFactory, SubscriptionFactory

pytestmark = pytest.mark.django_db
DRAFT = {"name": "May", "subject": "Hello", "body": "<html><body><p>Hi</p></body></html>"}


def put(api: Program, address: str) -> int:
    answer = api("PUT", f"subscribers/{quote(address)}", {})
    assert answer.status_code in (200, 201), (address, answer.content)
    return int(answer.json()["id"])


@pytest.mark.parametrize(
    "others",
    [
        ("ana@example.com", "Ana@Example.COM", "ANA@EXAMPLE.COM"),
        (
            "ana@example.com",
            " ana@example.com ",
            "ana@example.com\u00a0",
            "ana@example.com\u200b",
            "\ufeffana@example.com",
        ),
        ("x@bücher.example", "x@xn--bcher-kva.example", "x@bu\u0308cher.example", "x@BÜCHER.example"),
    ],
    ids=["case", "invisible", "domain"],
)
def test_one_person_however_the_address_is_written(api: Program, others: tuple[str, ...]) -> None:
    assert len({put(api, address) for address in others}) == 1
    assert Subscriber.objects.count() == 1
    assert {api("GET", f"subscribers/{quote(address)}").status_code for address in others} == {200}


def test_what_is_odd_and_valid_is_taken_as_it_is(api: Program) -> None:
    written = ["o'brien@example.com", "a+news@example.com", "a@example.com", "x/y@example.com", "100%@example.com"]

    assert len({put(api, address) for address in written}) == len(written)


@pytest.mark.parametrize(
    "address",
    [
        "jesús@example.com",  # SES has no SMTPUTF8
        "a@example.com.",
        "a..b@example.com",
        "a.@example.com",
        "a" * 65 + "@example.com",
        "a@[127.0.0.1]",
        "a@localhost",
        "Ana <a@example.com>",
        "a@example.com, b@example.com",
        "a@example.com\r\nBcc: x@example.com",
        "a@" + "d" * 250 + ".com",
    ],
)
def test_what_cannot_be_mailed_is_refused_with_a_reason(api: Program, address: str) -> None:
    answer = api("PUT", f"subscribers/{quote(address, safe='')}", {})

    assert answer.status_code in (400, 404)
    assert answer["Content-Type"] == "application/problem+json"
    assert not Subscriber.objects.exists()


def test_line_ends_in_what_goes_into_headers_start_none(api: Program, account: SendingAccount, news: List) -> None:
    person = api("PUT", "subscribers/eve@example.com", {"first_name": "A\r\nBcc: x@example.com"})
    wanted = DRAFT | {"list_ids": [news.pk]}
    answers = [
        api("POST", "campaigns", wanted | {field: "Hi\r\nBcc: x@example.com"})
        for field in ("subject", "sender_name", "reply_to", "sender_email", "name")
    ]

    assert person.json()["first_name"] == "A Bcc: x@example.com"
    assert all(answer.status_code in (201, 400) for answer in answers)
    texts = Campaign.objects.values_list("subject", "sender_name", "reply_to", "sender_email", "name")
    assert not any("\n" in text or "\r" in text for row in texts for text in row)


@pytest.mark.django_db(transaction=True)
def test_ten_programs_that_send_one_draft_at_once_send_it_once(cast: Cast, account: SendingAccount, news: List) -> None:
    api = program_of(cast.acme)
    pk = api("POST", "campaigns", DRAFT | {"list_ids": [news.pk]}).json()["id"]
    answers: list[tuple[int, int]] = []

    def send() -> None:
        answer = api("POST", f"campaigns/{pk}/send", {})
        answers.append((answer.status_code, answer.json().get("mailout_id", 0)))
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    send()

    mailout = Mailout.objects.get()
    assert {status for status, _ in answers} <= {200, 201, 202, 409}
    assert {mailout_id for status, mailout_id in answers if status != 409} == {mailout.pk}
    assert Message.objects.count() == 3


def test_what_is_going_out_is_changed_by_nobody(api: Program, account: SendingAccount, news: List) -> None:
    pk = api("POST", "campaigns", DRAFT | {"list_ids": [news.pk]}).json()["id"]
    more = ListFactory.create(organization=news.organization)
    assert api("POST", f"campaigns/{pk}/send", {}).status_code < 300

    for change in ({"subject": "Late"}, {"body": "<p>Late</p>"}, {"list_ids": [more.pk]}, {"account_id": None}):
        assert api("PATCH", f"campaigns/{pk}", change).status_code == 409, change

    assert Message.objects.count() == 3
    assert api("GET", f"campaigns/{pk}").json()["subject"] == "Hello"


def test_a_list_that_is_deleted_widens_no_audience(api: Program, account: SendingAccount, news: List) -> None:
    SubscriptionFactory.create(
        list=ListFactory.create(organization=news.organization),
        subscriber=SubscriberFactory.create(organization=news.organization, email="bystander@example.com"),
    )
    drafts = [api("POST", "campaigns", DRAFT | {"list_ids": [news.pk]}).json()["id"] for _ in range(3)]
    tomorrow = timezone.now() + datetime.timedelta(days=1)
    assert api("POST", f"campaigns/{drafts[1]}/schedule", {"scheduled_at": tomorrow}).status_code == 200
    assert api("POST", f"campaigns/{drafts[2]}/send", {}).status_code < 300

    deleted = api("DELETE", f"lists/{news.pk}")

    if deleted.status_code == 204:
        assert api("GET", f"campaigns/{drafts[0]}/review").json()["people"] == 0
        assert api("POST", f"campaigns/{drafts[0]}/send", {}).status_code == 409
    else:
        assert deleted.status_code == 409
        assert api("GET", f"campaigns/{drafts[0]}/review").json()["people"] == 3
    assert Message.objects.count() == 3


def test_ids_of_another_organization_in_a_body_are_as_good_as_none(
    api: Program, stranger: Program, cast: Cast, account: SendingAccount, news: List
) -> None:
    template = api("POST", "templates", {"name": "Ours", "html": "<html><body>{{ content }}</body></html>"}).json()
    own = stranger("POST", "campaigns", DRAFT).json()["id"]

    for field, value in (
        ("list_ids", [news.pk]),
        ("excluded_list_ids", [news.pk]),
        ("template_id", template["id"]),
        ("account_id", account.pk),
    ):
        assert stranger("POST", "campaigns", DRAFT | {field: value}).status_code in (400, 404), field
        assert stranger("PATCH", f"campaigns/{own}", {field: value}).status_code in (400, 404), field
    for body in ({"list_ids": [news.pk]}, {"list_ids": [10**12]}):
        assert stranger("PUT", "subscribers/ann@example.com", body).status_code in (400, 404)
    stopped = stranger("POST", "suppressions", {"email": "ann@example.com", "scope": "list", "list_id": news.pk})
    assert stopped.status_code in (400, 404)

    assert Campaign.objects.for_organization(cast.other).count() == 1
    assert not Subscriber.objects.for_organization(cast.other).exists()


def test_one_address_in_two_organizations_is_two_people(api: Program, stranger: Program) -> None:
    assert put(api, "ann@example.com") != put(stranger, "ann@example.com")

    stranger("POST", "subscribers/ann@example.com/unsubscribe")

    assert api("GET", "subscribers/ann@example.com").json()["status"] == "active"


def test_every_person_is_on_one_page_while_some_are_deleted(api: Program, cast: Cast) -> None:
    people = [SubscriberFactory.create(organization=cast.acme, email=f"p{n}@example.com") for n in range(30)]
    seen: list[int] = []
    cursor: str | None = ""

    while cursor is not None:
        page = api("GET", f"subscribers?limit=7&cursor={cursor}").json()
        seen += [one["id"] for one in page["data"]]
        cursor = page["next_cursor"]
        Subscriber.objects.filter(pk=seen[-1]).delete()

    assert seen == [person.pk for person in people]
    past_the_end = api("GET", "subscribers?limit=7&cursor=" + "azk5OTk5OTk5OTk5")
    assert (past_the_end.status_code, past_the_end.json()) == (200, {"data": [], "next_cursor": None})
    refused = api("GET", "subscribers?limit=100000")
    assert refused.status_code == 400
    assert "200" in refused.json()["errors"][0]["detail"]


@pytest.mark.parametrize("path", ["subscribers/%00@example.com", "lists/%00", "subscribers?status=%00"])
def test_a_nul_anywhere_is_refused(api: Program, path: str) -> None:
    answer = api("GET", path)

    assert answer.status_code in (400, 404)
    assert answer["Content-Type"] == "application/problem+json"
