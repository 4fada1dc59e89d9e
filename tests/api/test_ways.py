"""What holds for every endpoint: keys, scopes, problem details, pages, limits, one answer per Idempotency-Key."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from amazonsender.periodic import declared
from organizations.models import IdempotentAnswer
from organizations.tasks import purge_idempotent_answers
from subscribers.models import List
from tests.api.conftest import Program, program_of
from tests.cast import Cast
from tests.factories import ListFactory
from tests.organizations.wall import list_routes

pytestmark = pytest.mark.django_db


def is_problem(response: Any, status: int) -> bool:
    body = response.json()
    return (
        response.status_code == status == body["status"]
        and response["Content-Type"] == "application/problem+json"
        and bool(body["title"])
        and bool(body["detail"])
    )


def test_nobody_comes_in_without_a_key(cast: Cast) -> None:
    routes = [route for route in list_routes() if route.pattern.startswith("api/v1/")]
    assert len(routes) > 25
    for route in routes:
        path = "/" + route.pattern
        for name in route.parameters:
            path = re.sub(rf"<\w+:{name}>", "1", path)
        answer = Client().get(path)
        assert answer.status_code in (401, 405), path
        if answer.status_code == 401:
            assert answer["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", ["Bearer ask_wrong", "Bearer", "Basic YTpi", "Bearer \xff"])
def test_a_wrong_key_is_refused(cast: Cast, header: str) -> None:
    answer = Client().get("/api/v1/key", headers={"Authorization": header})
    assert is_problem(answer, 401)


def test_guessing_keys_is_slowed_down(cast: Cast) -> None:
    with time_machine.travel(timezone.now(), tick=False):
        answers = [Client().get("/api/v1/key", headers={"Authorization": "Bearer ask_x"}) for _ in range(31)]

    assert answers[29].status_code == 401
    assert is_problem(answers[30], 429)
    assert int(answers[30]["Retry-After"]) >= 1


def test_a_key_says_what_it_is(api: Program, cast: Cast) -> None:
    answer = api("GET", "key")

    assert answer.json()["organization"] == cast.acme.name
    assert answer["Cache-Control"] == "no-store"
    assert "RateLimit-Remaining" in answer


def test_a_key_does_what_its_scopes_say_and_nothing_else(limited: Callable[..., Program]) -> None:
    reader = limited("list:view")

    assert reader("GET", "lists").status_code == 200
    assert is_problem(reader("POST", "lists", {"name": "News"}), 403)
    assert is_problem(reader("GET", "campaigns"), 403)
    assert not List.objects.exists()


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "nothing", None, 404),
        ("GET", "lists/999999999999999999999", None, 404),
        ("GET", "subscribers/no@body", None, 404),
        ("GET", "mailouts/99999999999/messages/99999999999", None, 404),
        ("DELETE", "lists", None, 405),
        ("POST", "lists", b"{", 400),
        ("POST", "lists", b'{"name": NaN}', 400),
        ("POST", "lists", b'{"name": "a\\u0000b"}', 400),
        ("POST", "lists", b'{"name": "\\ud800"}', 400),
        ("POST", "lists", b"[]", 400),
        ("POST", "lists", {"name": ""}, 400),
        ("POST", "lists", b'{"name": "' + b"x" * 2_100_000 + b'"}', 413),
        ("GET", "lists?limit=0", None, 400),
        ("GET", "lists?limit=1000", None, 400),
        ("GET", "lists?cursor=nonsense", None, 400),
        ("GET", "lists?cursor=%00", None, 400),
        ("GET", "subscribers?status=gone", None, 400),
    ],
)
def test_a_refusal_is_a_problem(api: Program, method: str, path: str, body: Any, status: int) -> None:
    assert is_problem(api(method, path, body), status)


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
def test_a_wrong_address_is_a_problem_for_a_program_without_cookies(cast: Cast, method: str) -> None:
    answer = Client(enforce_csrf_checks=True).generic(method, "/api/v1/lists/-1", b"{}", "application/json")

    assert is_problem(answer, 404)


def test_only_json_is_read(api: Program) -> None:
    answer = Client(headers={"Authorization": f"Bearer {api.secret}"}).post("/api/v1/lists", {"name": "News"})

    assert is_problem(answer, 415)
    assert answer.json()["detail"] == "Send JSON, and say so: `Content-Type: application/json`."


def test_wrong_fields_are_named(api: Program) -> None:
    body = api(
        "PUT",
        "subscribers/ann@example.com",
        {"tags": ["x" * 61], "consent": {"ip": "nowhere"}, "list_ids": ["one"]},
    ).json()

    assert {one["field"] for one in body["errors"]} == {"tags[0]", "consent.ip", "list_ids[0]"}


@pytest.mark.parametrize(
    ("method", "path", "body", "fields"),
    [
        (
            "PUT",
            "subscribers/ann@example.com",
            {"firstname": "Ann", "consent": {"txt": "Yes"}},
            {"firstname", "consent.txt"},
        ),
        ("POST", "lists", {"name": "News", "title": "News"}, {"title"}),
        ("GET", "subscribers?email=ann@example.com&limit=1", None, {"email"}),
        ("GET", "key?verbose=1", None, {"verbose"}),
    ],
)
def test_what_there_isn_t_is_refused_rather_than_passed_over(
    api: Program, method: str, path: str, body: Any, fields: set[str]
) -> None:
    answer = api(method, path, body)

    assert is_problem(answer, 400)
    assert {one["field"] for one in answer.json()["errors"]} == fields
    assert not List.objects.exists()


def test_a_refusal_says_what_to_do_instead(api: Program) -> None:
    assert api("GET", "lists/").json()["detail"] == "There is no such endpoint. Addresses have no slash at the end."
    assert api("DELETE", "lists").json()["detail"] == "There is no DELETE here, but GET, POST, HEAD, OPTIONS."


def test_times_are_utc_in_one_form(api: Program) -> None:
    made = api("POST", "lists", {"name": "News"}).json()["created_at"]

    assert made.endswith("Z")
    assert api("GET", "key").json()["created_at"].endswith("Z")


def test_pages_hold_while_rows_come_and_go(api: Program, cast: Cast) -> None:
    made = [ListFactory.create(organization=cast.acme, name=f"List {number}") for number in range(7)]
    ListFactory.create(organization=cast.other)

    first = api("GET", "lists?limit=3").json()
    made[0].delete()
    made[3].delete()
    second = api("GET", f"lists?limit=3&cursor={first['next_cursor']}").json()

    assert [one["name"] for one in first["data"]] == ["List 0", "List 1", "List 2"]
    assert [one["name"] for one in second["data"]] == ["List 4", "List 5", "List 6"]
    assert second["next_cursor"] is None


def test_a_key_that_asks_too_often_waits(api: Program, stranger: Program, settings: Settings) -> None:
    settings.API_REQUESTS_PER_MINUTE = 2

    with time_machine.travel(timezone.now(), tick=False):
        answers = [api("GET", "key") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert is_problem(answers[2], 429)
    assert int(answers[2]["Retry-After"]) >= 1
    assert answers[1]["RateLimit-Remaining"] == "0"
    assert stranger("GET", "key").status_code == 200


def test_the_same_idempotency_key_does_a_thing_once(api: Program, stranger: Program) -> None:
    first = api("POST", "lists", {"name": "News"}, Idempotency_Key="one")
    again = api("POST", "lists", {"name": "News"}, Idempotency_Key="one")
    other = api("POST", "lists", {"name": "Offers"}, Idempotency_Key="one")
    theirs = stranger("POST", "lists", {"name": "News"}, Idempotency_Key="one")

    assert (first.status_code, again.status_code, theirs.status_code) == (201, 201, 201)
    assert first.json() == again.json()
    assert again["Idempotent-Replayed"] == "true"
    assert is_problem(other, 400)
    assert List.objects.count() == 2


def test_a_refusal_is_not_remembered(api: Program) -> None:
    assert api("POST", "lists", {"name": ""}, Idempotency_Key="one").status_code == 400
    assert api("POST", "lists", {"name": "News"}, Idempotency_Key="one").status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 201, "naïve"])
def test_an_idempotency_key_is_short_and_plain(api: Program, key: str) -> None:
    assert is_problem(api("POST", "lists", {"name": "News"}, Idempotency_Key=key), 400)


def test_old_answers_are_forgotten(api: Program) -> None:
    api("POST", "lists", {"name": "News"}, Idempotency_Key="one")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE organizations_idempotentanswer SET created_at = now() - interval '25 hours'")

    assert api("POST", "lists", {"name": "News"}, Idempotency_Key="one").status_code == 409  # the name is taken
    assert api("POST", "lists", {"name": "Offers"}, Idempotency_Key="one").status_code == 201


def test_answers_that_nobody_can_ask_for_any_more_are_purged(api: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("organizations.services.idempotency.PURGED_TOGETHER", 2)
    for number in range(5):
        api("POST", "lists", {"name": f"List {number}"}, Idempotency_Key=f"old-{number}")
    IdempotentAnswer.objects.update(created_at=timezone.now() - timedelta(hours=24, seconds=1))
    api("POST", "lists", {"name": "News"}, Idempotency_Key="new")

    purge_idempotent_answers()

    assert [answer.idempotency_key for answer in IdempotentAnswer.objects.all()] == ["new"]
    assert declared()["organizations: purge of idempotent answers"] == (purge_idempotent_answers.name, 3600)


def test_no_answer_shows_a_person_who_was_deleted(api: Program, stranger: Program) -> None:
    for program in (api, stranger):
        for address in ("Ann@example.com", "diann@example.com"):
            program("PUT", f"subscribers/{address}", {"first_name": "Ann"})
            program("POST", f"subscribers/{address}/unsubscribe", Idempotency_Key=address)
        program("POST", "suppressions", {"email": "ann@example.com"}, Idempotency_Key="stop")
        program("POST", "lists", {"name": "News"}, Idempotency_Key="list")

    assert api("DELETE", "subscribers/ann@example.com").status_code == 204

    kept = list(IdempotentAnswer.objects.order_by("id").values_list("idempotency_key", flat=True))
    assert kept == ["diann@example.com", "list", "Ann@example.com", "diann@example.com", "stop", "list"]
    again = api("POST", "subscribers/Ann@example.com/unsubscribe", Idempotency_Key="Ann@example.com")
    assert is_problem(again, 404)


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_one_does_it_and_both_get_its_answer(cast: Cast) -> None:
    api = program_of(cast.acme)
    answers: list[Any] = []

    def ask() -> None:
        answers.append(api("POST", "lists", {"name": "News"}, Idempotency_Key="one"))
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert List.objects.count() == 1


def test_the_reference_stands_without_another_host(cast: Cast, client: Client) -> None:
    page = client.get("/api/")

    assert page.status_code == 200
    assert "https://" not in page.content.decode()
    assert "'unsafe-inline'" in page["Content-Security-Policy"].partition("style-src ")[2].partition(";")[0]
    assert "'unsafe-inline'" not in page["Content-Security-Policy"].partition("script-src ")[2].partition(";")[0]
    assert client.get("/api/openapi").status_code == 200
