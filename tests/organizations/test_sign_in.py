import datetime
import hashlib
import io
import json

import pytest
import time_machine
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from amazonsender.core.errors import NotFound
from organizations.models import SignInLink, User
from organizations.services.sign_in import create_sign_in_link, use_sign_in_link


def test_a_link_shows_a_button_and_signs_in_when_it_is_pressed(client: Client, alice: User) -> None:
    link = create_sign_in_link(user=alice)

    page = client.get(link)
    assert page.status_code == 200
    assert b'<form method="post">' in page.content
    assert "_auth_user_id" not in client.session

    response = client.post(link)

    assert response.status_code == 302
    assert response["Location"] == "/admin/"
    assert client.session["_auth_user_id"] == str(alice.pk)


def test_scanners_that_open_the_link_do_not_burn_it(client: Client, alice: User) -> None:
    link = create_sign_in_link(user=alice)

    for _ in range(3):
        assert client.get(link).status_code == 200
        assert client.head(link).status_code == 200

    assert SignInLink.objects.get().used_at is None
    assert client.post(link).status_code == 302


def test_a_link_works_once(client: Client, alice: User) -> None:
    link = create_sign_in_link(user=alice)
    assert client.post(link).status_code == 302

    again = Client().post(link)

    assert again.status_code == 404
    assert "sessionid" not in again.cookies


def test_a_link_is_good_for_a_day(alice: User) -> None:
    now = timezone.now()
    with time_machine.travel(now, tick=False):
        early = create_sign_in_link(user=alice).split("/")[-2]
        late = create_sign_in_link(user=alice).split("/")[-2]

    with time_machine.travel(now + datetime.timedelta(hours=23, minutes=59), tick=False):
        assert use_sign_in_link(token=early) == alice
    with time_machine.travel(now + datetime.timedelta(hours=24, seconds=1), tick=False), pytest.raises(NotFound):
        use_sign_in_link(token=late)


def test_an_unknown_link_answers_as_a_used_one(client: Client, alice: User) -> None:
    link = create_sign_in_link(user=alice)
    client.post(link)
    used = Client().post(link)

    unknown = Client().post("/sign-in/nothing-of-the-sort/")

    assert unknown.status_code == used.status_code == 404
    assert unknown.content == used.content


def test_somebody_who_was_shut_out_cannot_come_in_by_a_link(alice: User) -> None:
    token = create_sign_in_link(user=alice).split("/")[-2]
    User.objects.filter(pk=alice.pk).update(is_active=False)

    with pytest.raises(NotFound):
        use_sign_in_link(token=token)


def test_the_table_holds_only_a_digest(alice: User) -> None:
    token = create_sign_in_link(user=alice).split("/")[-2]

    row = SignInLink.objects.get()

    assert bytes(row.digest) == hashlib.sha256(token.encode()).digest()
    assert len(token) >= 43


def test_links_that_expired_are_swept_with_the_next_one(alice: User) -> None:
    create_sign_in_link(user=alice)
    SignInLink.objects.update(expires_at=timezone.now() - datetime.timedelta(seconds=1))

    create_sign_in_link(user=alice)

    assert SignInLink.objects.count() == 1


def test_the_page_is_not_kept_by_caches_nor_told_to_other_sites(client: Client, alice: User) -> None:
    response = client.get(create_sign_in_link(user=alice))

    assert "no-store" in response["Cache-Control"]
    assert response["Referrer-Policy"] == "same-origin"


def test_guessing_is_throttled(client: Client, db: None) -> None:
    answers = [client.post("/sign-in/guess/").status_code for _ in range(21)]

    assert answers == [404] * 20 + [429]


def test_the_form_is_protected_against_forgery(alice: User) -> None:
    link = create_sign_in_link(user=alice)

    assert Client(enforce_csrf_checks=True).post(link).status_code == 403
    assert SignInLink.objects.get().used_at is None


def test_the_command_prints_a_link_that_works(client: Client, alice: User) -> None:
    out = io.StringIO()

    call_command("sign_in_link", "Alice@Acme.example", format="json", stdout=out)

    answer = json.loads(out.getvalue())
    assert answer["email"] == "alice@acme.example"
    assert answer["sign_in_link"].startswith(settings.PUBLIC_URL + "/sign-in/")
    assert client.post(answer["sign_in_link"]).status_code == 302


def test_the_command_refuses_an_unknown_address(alice: User) -> None:
    with pytest.raises(CommandError, match=r"Nobody signs in as nobody@acme\.example"):
        call_command("sign_in_link", "nobody@acme.example")

    assert not SignInLink.objects.exists()


def test_members_sign_in_with_a_password_and_others_do_not(client: Client, alice: User) -> None:
    alice.set_password("a long enough one")
    alice.save()
    outsider = User.objects.create_user("nobody@acme.example", "a long enough one", is_staff=True, is_superuser=True)

    refused = client.post("/admin/login/", {"username": outsider.email, "password": "a long enough one"})
    assert refused.status_code == 200
    assert "You belong to no organization any more." in refused.content.decode()

    accepted = client.post(
        "/admin/login/?next=/admin/team/", {"username": "alice@acme.example", "password": "a long enough one"}
    )
    assert accepted.status_code == 302


def test_guessing_passwords_is_throttled(client: Client, db: None) -> None:
    guess = {"username": "alice@acme.example", "password": "wrong"}

    answers = [client.post("/admin/login/", guess).status_code for _ in range(21)]

    assert answers == [200] * 20 + [429]
    assert client.get("/admin/login/").status_code == 200


def test_who_came_by_a_link_sets_a_password_without_an_old_one(alice: User, alice_client: Client) -> None:
    page = alice_client.get("/admin/password_change/")
    assert "old_password" not in page.context["form"].fields

    new = {"new_password1": "quite long and odd 1", "new_password2": "quite long and odd 1"}
    assert alice_client.post("/admin/password_change/", new).status_code == 302

    alice.refresh_from_db()
    assert alice.check_password("quite long and odd 1")
    assert "old_password" in alice_client.get("/admin/password_change/").context["form"].fields
