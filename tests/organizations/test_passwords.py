"""Forgotten passwords: who learns what, and every way in which a link must not work."""

from __future__ import annotations

import datetime
import re
import threading
from typing import Literal

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from amazonsender.core.errors import NotFound
from organizations.models import Member, Organization, SignInLink, SystemEmail, User
from organizations.services.passwords import request_way_in, reset_password
from organizations.services.sign_in import create_sign_in_link
from tests.cast import make_cast
from tests.organizations.letters import body_of, letters, link_in

PASSWORD = "correct horse battery"
NEW = {"new_password1": PASSWORD, "new_password2": PASSWORD}
ASK = "/password/forgotten/"


def asked(user: User, way: str = "password") -> str:
    request_way_in(email=user.email, way=way)  # type: ignore[arg-type]
    return link_in(letters(to=user.email)[-1])


def test_the_sign_in_page_leads_to_a_letter_and_its_link_to_a_new_password(client: Client, alice: User) -> None:
    assert f'href="{ASK}"' in client.get("/admin/login/").content.decode()
    page = client.post(ASK, {"email": "ALICE@acme.example", "way": "password"})
    assert "Look into your mailbox." in page.content.decode()
    [letter] = letters()
    path = link_in(letter)
    assert (letter.purpose, letter.to, letter.organization) == ("password_reset", "alice@acme.example", None)
    assert "The link works once, for 60 minutes." in body_of(letter).text

    assert "For alice@acme.example." in client.get(path).content.decode()
    response = client.post(path, NEW, follow=True)

    assert response.redirect_chain[-1][0] == "/admin/"
    assert "Your password is changed. Other devices are signed out." in response.content.decode()
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)
    assert [each.purpose for each in letters()] == ["password_reset", "password_changed"]


def test_known_unknown_closed_and_homeless_addresses_answer_alike(client: Client, alice: User, bob: User) -> None:
    User.objects.filter(pk=bob.pk).update(is_active=False)
    homeless = User.objects.create_user("homeless@acme.example")
    emails = [alice.email, "nobody@acme.example", bob.email, homeless.email]

    answers = [client.post(ASK, {"email": email, "way": "password"}) for email in emails]

    assert {answer.status_code for answer in answers} == {200}
    bodies = {answer.content.decode().replace(email, "…") for answer, email in zip(answers, emails, strict=True)}
    assert len(bodies) == 1
    assert [letter.to for letter in letters()] == [alice.email]


@pytest.mark.parametrize("way", ["password", "sign_in"])
def test_nobody_and_whoever_got_enough_cost_the_same_queries_and_wake_up(
    alice: User, way: Literal["password", "sign_in"], django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    def ask(email: str) -> tuple[list[str], int]:
        with CaptureQueriesContext(connection) as captured, django_capture_on_commit_callbacks() as callbacks:
            request_way_in(email=email, way=way)
        shapes = [re.sub(r"'[^']*'|\d+", "?", query["sql"]) for query in captured.captured_queries]
        return [shape.partition("(")[0] for shape in shapes if "SAVEPOINT" not in shape], len(callbacks)

    known, unknown = ask(alice.email), ask("nobody@acme.example")
    ask(alice.email), ask(alice.email)
    enough = ask(alice.email)

    assert known == unknown == enough
    assert known[1] == 1
    assert [letter.to for letter in letters()] == [alice.email] * 3
    assert SignInLink.objects.count() == (3 if way == "sign_in" else 0)


def test_an_address_that_is_none_is_said(client: Client, db: None) -> None:
    response = client.post(ASK, {"email": "nobody"})

    assert response.status_code == 422
    assert "Enter a valid email address." in response.content.decode()


def test_a_mailbox_gets_three_letters_an_hour_whoever_asks(alice: User) -> None:
    for way in ("password", "sign_in", "password", "password", "sign_in"):
        request_way_in(email=alice.email, way=way)
    assert len(letters()) == 3

    SystemEmail.objects.update(created_at=timezone.now() - datetime.timedelta(minutes=61))
    request_way_in(email=alice.email, way="password")

    assert len(letters()) == 4


@pytest.mark.django_db(transaction=True)
def test_requests_at_once_stay_within_three() -> None:
    cast = make_cast()
    start = threading.Barrier(5)

    def ask() -> None:
        start.wait()
        try:
            request_way_in(email=cast.alice.email, way="password")
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(letters()) == 3


def test_asking_is_throttled_by_address(client: Client, db: None) -> None:
    answers = [client.post(ASK, {"email": f"x{number}@acme.example"}).status_code for number in range(21)]

    assert answers == [200] * 20 + [429]


def test_links_never_follow_the_host_of_the_request(client: Client, alice: User, settings: Settings) -> None:
    settings.PUBLIC_URL = "https://mail.acme.example"
    poison = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}

    client.post(ASK, {"email": alice.email, "way": "password"}, headers=poison)
    client.post(ASK, {"email": alice.email, "way": "sign_in"}, headers=poison)

    for letter in letters():
        link_in(letter)  # insists on PUBLIC_URL
        assert "evil.example" not in body_of(letter).text + body_of(letter).html


def test_a_link_works_once(client: Client, alice: User) -> None:
    path = asked(alice)
    assert client.post(path, NEW).status_code == 302

    again = Client().post(path, {"new_password1": "another good one 1", "new_password2": "another good one 1"})

    assert again.status_code == 404
    assert "This link has been used already, or is older than an hour." in again.content.decode()
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)


def test_a_link_is_good_for_an_hour(alice: User, client: Client) -> None:
    now = timezone.now()
    with time_machine.travel(now, tick=False):
        path = asked(alice)

    with time_machine.travel(now + datetime.timedelta(minutes=59), tick=False):
        assert client.get(path).status_code == 200
    with time_machine.travel(now + datetime.timedelta(minutes=61), tick=False):
        assert client.get(path).status_code == 404
        assert client.post(path, NEW).status_code == 404
    assert not User.objects.get(pk=alice.pk).check_password(PASSWORD)


def test_signing_in_makes_the_link_void(alice: User, client: Client) -> None:
    path = asked(alice)
    client.post(create_sign_in_link(user=alice))

    assert Client().post(path, NEW).status_code == 404


def test_forged_and_foreign_links_open_nothing(alice: User, bob: User, client: Client) -> None:
    uid, token = asked(alice).split("/")[3:5]
    other, _token = asked(bob).split("/")[3:5]
    paths = [
        f"/password/new/{other}/{token}/",
        f"/password/new/{uid}/{token[:-1]}x/",
        f"/password/new/{uid}/x/",
        f"/password/new/%FF/{token}/",
        f"/password/new/MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw/{token}/",
        f"/password/new/x/{token}/",
    ]

    answers = [client.post(path, NEW) for path in paths]

    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1


def test_a_closed_account_has_no_way_back(alice: User, client: Client) -> None:
    path = asked(alice)
    User.objects.filter(pk=alice.pk).update(is_active=False)

    assert client.post(path, NEW).status_code == 404


def test_every_other_session_and_sign_in_link_ends(alice: User, alice_client: Client, client: Client) -> None:
    other_link = create_sign_in_link(user=alice)
    assert alice_client.get("/admin/team/").status_code == 200

    client.post(asked(alice), NEW)

    assert alice_client.get("/admin/team/").status_code == 302
    assert client.get("/admin/team/").status_code == 200
    assert Client().post(other_link).status_code == 404
    assert not SignInLink.objects.filter(used_at=None).exists()


def test_a_weak_or_mistyped_password_is_refused_and_the_link_lives(client: Client, alice: User) -> None:
    path = asked(alice)

    weak = client.post(path, {"new_password1": "alice", "new_password2": "alice"})
    mistyped = client.post(path, {**NEW, "new_password2": "x"})

    assert (weak.status_code, mistyped.status_code) == (422, 422)
    assert "too short" in weak.content.decode()
    assert client.post(path, NEW).status_code == 302


@pytest.mark.django_db(transaction=True)
def test_of_two_who_use_the_link_at_once_one_wins() -> None:
    cast = make_cast()
    uid, token = asked(cast.alice).split("/")[3:5]
    start, ends = threading.Barrier(2), []

    def use(password: str) -> None:
        start.wait()
        try:
            reset_password(uid=uid, token=token, password=password)
            ends.append(password)
        except NotFound:
            ends.append("late")
        finally:
            connection.close()

    threads = [threading.Thread(target=use, args=(word,)) for word in ("first of the two", "second of the two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    [winner] = [end for end in ends if end != "late"]
    assert len(ends) == 2
    assert User.objects.get(pk=cast.alice.pk).check_password(winner)
    assert len(letters(purpose="password_changed")) == 1


def test_the_other_button_sends_a_link_that_signs_in_once(client: Client, alice: User) -> None:
    client.post(ASK, {"email": alice.email, "way": "sign_in"})
    [letter] = letters()
    path = link_in(letter)

    assert letter.purpose == "sign_in_link"
    assert client.get(path).status_code == 200
    assert client.post(path)["Location"] == "/admin/"
    assert Client().post(path).status_code == 404


def test_somebody_who_never_had_a_password_gets_one_this_way(client: Client, bob: User) -> None:
    assert not bob.has_usable_password()

    assert client.post(asked(bob), NEW).status_code == 302

    assert User.objects.get(pk=bob.pk).check_password(PASSWORD)


def test_changing_it_in_the_admin_sends_the_same_notice(client: Client, alice: User, alice_client: Client) -> None:
    link = create_sign_in_link(user=alice)

    response = alice_client.post("/admin/password_change/", NEW, follow=True)

    assert "Your password is changed." in response.content.decode()
    [letter] = letters()
    assert (letter.purpose, letter.to) == ("password_changed", alice.email)
    assert "Your password was changed." in body_of(letter).text
    assert link_in(letter) == ASK
    assert alice_client.get("/admin/").status_code == 200, "this device stays signed in"
    assert client.post(link).status_code == 404


def test_letters_speak_the_language_of_whoever_gets_them(alice: User, bob: User, acme: Organization) -> None:
    User.objects.filter(pk=alice.pk).update(language="ru")
    Organization.objects.filter(pk=acme.pk).update(locale="ru")
    User.objects.filter(pk=bob.pk).update(language="en")

    for user, way in ((alice, "password"), (alice, "sign_in"), (bob, "password")):
        asked(user, way)

    assert [letter.subject for letter in letters()] == [
        "Новый пароль для AmazonSender",
        "Ваша ссылка в AmazonSender",
        "A new password for AmazonSender",
    ]
    assert "Ссылка сработает один раз" in body_of(letters()[0]).text


def test_without_a_way_out_the_page_names_the_command(client: Client, alice: User, settings: Settings) -> None:
    settings.SYSTEM_EMAIL_PROVIDER = "none"

    page = client.get(ASK).content.decode()
    answer = client.post(ASK, {"email": alice.email, "way": "password"}).content.decode()

    assert "manage.py sign_in_link" in page
    assert "manage.py sign_in_link" in answer
    assert not letters()
    assert not SignInLink.objects.exists()


def test_without_a_way_out_passwords_change_without_a_notice(alice_client: Client, settings: Settings) -> None:
    settings.SYSTEM_EMAIL_PROVIDER = "none"

    assert alice_client.post("/admin/password_change/", NEW).status_code == 302

    assert not letters()


def test_a_changed_role_and_a_removal_are_told_to_whom_they_concern(
    alice: User, alice_client: Client, bob: User, acme: Organization
) -> None:
    User.objects.filter(pk=bob.pk).update(language="ru")
    pk = Member.objects.get(user=bob).pk

    alice_client.post(f"/admin/team/{pk}/role/", {"role": "admin"})
    alice_client.post(f"/admin/team/{pk}/remove/")

    changed, removed = letters()
    assert [(each.purpose, each.to, each.organization) for each in (changed, removed)] == [
        ("role_changed", bob.email, acme),
        ("removed", bob.email, acme),
    ]
    assert "Администратор" in body_of(changed).text or "админ" in body_of(changed).text.lower()
    assert "Acme Coffee" in removed.subject


def test_whoever_changes_their_own_role_or_leaves_gets_no_letter(
    alice: User, alice_client: Client, bob: User, settings: Settings
) -> None:
    Member.objects.filter(user=bob).update(role="owner")
    pk = Member.objects.get(user=alice).pk

    alice_client.post(f"/admin/team/{pk}/role/", {"role": "admin"})
    alice_client.post(f"/admin/team/{pk}/remove/")

    assert not Member.objects.filter(user=alice).exists()
    assert not letters()


def test_without_a_way_out_roles_change_without_a_letter(alice_client: Client, bob: User, settings: Settings) -> None:
    settings.SYSTEM_EMAIL_PROVIDER = "none"

    alice_client.post(f"/admin/team/{Member.objects.get(user=bob).pk}/role/", {"role": "admin"})

    assert Member.objects.get(user=bob).role == "admin"
    assert not letters()


def test_a_sign_in_link_that_is_used_up_leads_to_another_letter(client: Client, db: None) -> None:
    assert ASK in client.post("/sign-in/used/").content.decode()
