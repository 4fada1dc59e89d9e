"""Templates, campaigns, mailouts and messages through the API: from a draft to each person's email."""

from __future__ import annotations

import datetime

import pytest
from django.utils import timezone

from campaigns.models import Campaign
from delivery.engine.database import open_connection
from delivery.models import CompiledEmail, DeliveryEvent, EventType, Mailout, SendingAccount
from subscribers.models import List
from tests.api.conftest import Program, program_of
from tests.cast import Cast
from tests.delivery.engine.world import World

HTML = "<html><body><p>Hi {{ first_name }}</p></body></html>"


@pytest.mark.django_db
def test_a_template_has_versions(api: Program, stranger: Program) -> None:
    made = api("POST", "templates", {"name": "Plain", "html": "<html><body>{{ content }}</body></html>"}).json()
    assert made["version"] == 1

    path = f"templates/{made['id']}"
    changed = api("PATCH", path, {"html": "<html><body><b>{{ content }}</b></body></html>", "version": 1}).json()
    assert (changed["version"], changed["name"]) == (2, "Plain")
    assert api("PATCH", path, {"html": "<p>{{ content }}</p>", "version": 1}).status_code == 409
    assert api("PATCH", path, {"is_archived": True}).json()["is_archived"] is True
    assert api("POST", "templates", {"name": "Plain", "html": "{{ content }}"}).status_code == 409
    assert api("POST", "templates", {"name": "No place", "html": "<p></p>"}).status_code == 400
    assert stranger("GET", path).status_code == stranger("PATCH", path, {"name": "Mine"}).status_code == 404


@pytest.mark.django_db
def test_a_campaign_is_written_changed_and_reviewed(api: Program, account: SendingAccount, news: List) -> None:
    made = api("POST", "campaigns", {"name": "May", "subject": "Hello", "list_ids": [news.pk]}).json()
    assert (made["state"], made["account_id"], made["sender_email"]) == ("draft", account.pk, "hello@acme.example")

    path = f"campaigns/{made['id']}"
    review = api("GET", f"{path}/review").json()
    assert (review["is_ready"], review["people"], review["candidates"]) == (False, 3, 3)
    assert review["reasons"]

    changed = api("PATCH", path, {"body": HTML, "revision": made["revision"]}).json()
    assert changed["body"] == HTML
    conflict = api("PATCH", path, {"body": "Other", "revision": made["revision"]})
    assert conflict.status_code == 409
    assert api("GET", f"{path}/review").json()["is_ready"] is True
    assert [one["id"] for one in api("GET", "campaigns?state=draft").json()["data"]] == [made["id"]]
    assert api("GET", "campaigns?state=sent").json()["data"] == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    "fields",
    [
        {"list_ids": [999_999]},
        {"template_id": 999_999},
        {"account_id": 999_999},
        {"sender_email": "nobody"},
        {"format": "mjml"},
        {"scheduled_at": "soon"},
    ],
)
def test_what_a_campaign_can_t_have_makes_none(api: Program, fields: dict[str, object]) -> None:
    assert api("POST", "campaigns", {"name": "May"} | fields).status_code == 400
    assert not Campaign.objects.exists()


@pytest.mark.django_db
def test_what_is_not_ready_is_refused_with_every_reason(api: Program) -> None:
    pk = api("POST", "campaigns", {"name": "May"}).json()["id"]

    refused = api("POST", f"campaigns/{pk}/send", {})

    assert refused.status_code == 409
    assert len(refused.json()["reasons"]) >= 3
    broken = api("POST", "campaigns", {"name": "June", "body": "<p>\n{{ first_name", "subject": "Hi"}).json()["id"]
    finding = next(one for one in api("GET", f"campaigns/{broken}/review").json()["findings"] if one["is_blocking"])
    assert (finding["part"], finding["line"]) == ("html", 2)
    for act in ("test", "dry-run"):
        answer = api("POST", f"campaigns/{broken}/{act}", {} if act == "test" else None)
        assert answer.status_code in (400, 409), act
        assert not Mailout.objects.exists()


@pytest.mark.django_db
def test_a_schedule_is_made_and_called_off(api: Program, account: SendingAccount, news: List) -> None:
    draft = {"name": "May", "subject": "Hello", "body": HTML, "list_ids": [news.pk]}
    pk = api("POST", "campaigns", draft).json()["id"]
    tomorrow = timezone.now() + datetime.timedelta(days=1)
    yesterday = timezone.now() - datetime.timedelta(days=1)

    assert api("POST", f"campaigns/{pk}/schedule", {"scheduled_at": yesterday}).status_code == 400
    assert api("GET", f"campaigns/{pk}").json()["scheduled_at"] is None  # nothing half done
    assert api("POST", f"campaigns/{pk}/schedule", {"scheduled_at": tomorrow, "people": 4}).status_code == 409
    scheduled = api("POST", f"campaigns/{pk}/schedule", {"scheduled_at": tomorrow, "people": 3})
    assert scheduled.json()["state"] == "scheduled"
    assert api("PATCH", f"campaigns/{pk}", {"subject": "Late"}).status_code == 409
    assert api("POST", f"campaigns/{pk}/unschedule").json()["state"] == "draft"
    assert api("POST", f"campaigns/{pk}/unschedule").status_code == 409


@pytest.mark.django_db(transaction=True)
def test_a_campaign_goes_out_and_every_message_can_be_looked_at(
    cast: Cast, account: SendingAccount, news: List
) -> None:
    api, stranger = program_of(cast.acme), program_of(cast.other)
    pk = api("POST", "campaigns", {"name": "May", "subject": "Hello", "body": HTML, "list_ids": [news.pk]}).json()["id"]
    path = f"campaigns/{pk}"
    test = api("POST", f"{path}/test", {"recipients": ["me@acme.example"], "subscriber": "ann@example.com"}).json()
    dry = api("POST", f"{path}/dry-run").json()
    assert (test["kind"], dry["is_dry_run"]) == ("test", True)
    assert api("POST", f"{path}/pause").status_code == 409

    sent = [api("POST", f"{path}/send", {"people": 3}, Idempotency_Key="now").json() for _ in range(2)]
    assert sent[0]["mailout_id"] == sent[1]["mailout_id"]
    assert api("POST", f"{path}/send", {}).json()["mailout_id"] == sent[0]["mailout_id"]
    assert api("POST", f"{path}/pause").json()["state"] == "paused"
    assert api("POST", f"{path}/pause").status_code == 409
    assert stranger("POST", f"{path}/resume").status_code == 404
    assert api("POST", f"{path}/resume").json()["state"] == "sending"

    mailout = Mailout.objects.get(pk=sent[0]["mailout_id"])
    with open_connection() as raw:
        World(cast.acme, account, news, CompiledEmail.objects.latest("pk")).finish(raw, mailout)

    shown = api("GET", path).json()
    assert shown["state"] == "sent"
    assert (shown["mailout"]["account"]["sent"], shown["mailout"]["account"]["waiting"]) == (3, 0)
    where = f"mailouts/{mailout.pk}"
    first = api("GET", f"{where}/messages?limit=2").json()
    rest = api("GET", f"{where}/messages?limit=2&cursor={first['next_cursor']}").json()
    everybody = first["data"] + rest["data"]
    assert {one["email"] for one in everybody} == {f"{name}@example.com" for name in ("ann", "bea", "cid")}
    assert {one["state"] for one in everybody} == {"sent"}
    assert api("GET", f"{where}/messages?state=failed").json()["data"] == []
    assert api("GET", f"{where}/messages?state=gone").status_code == 400
    DeliveryEvent.objects.create(id=1, mailout_id=mailout.pk, n=1, type=EventType.DELIVERED, at=timezone.now())
    assert api("GET", f"{where}/messages/1").json()["events"][0]["type"] == "delivered"
    # The dry run and this; tests are in nobody's history.
    assert len(api("GET", "messages?email=ann@example.com").json()["data"]) == 2
    assert mailout.pk in {one["id"] for one in api("GET", "mailouts").json()["data"]}
    assert api("POST", f"{path}/cancel").status_code == 409

    for hidden in (
        path,
        f"{path}/review",
        where,
        f"{where}/messages",
        f"{where}/messages/1",
        "messages?email=ann@example.com",
    ):
        assert stranger("GET", hidden).status_code == 404
    for act in ("test", "dry-run", "send", "schedule", "unschedule", "pause", "cancel"):
        assert stranger("POST", f"{path}/{act}", {}).status_code == 404
