"""Inviting people: who may, what the letter holds, and every way in which its link must not work."""

from __future__ import annotations

import datetime
import threading

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from amazonsender.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from organizations.models import (
    AuditEntry,
    Invitation,
    Member,
    Organization,
    Role,
    SystemEmail,
    SystemEmailPurpose,
    User,
)
from organizations.services.invitations import (
    accept_invitation,
    invite,
    invite_again,
    withdraw_invitation,
)
from organizations.services.team import change_role, remove_member
from tests.cast import Cast, join, make_cast
from tests.organizations.letters import body_of, letters, link_in

NEW = "new@person.example"


def member(user: User) -> Member:
    return Member.objects.select_related("organization", "user").get(user=user)


def invited(user: User, email: str = NEW, role: str = "marketer") -> str:
    """Invite and return the path in the letter."""
    invite(actor=member(user), email=email, role=role)
    return link_in(letters(purpose="invitation")[-1])


def test_an_owner_invites_and_somebody_new_joins(alice_client: Client, client: Client, acme: Organization) -> None:
    response = alice_client.post("/admin/team/", {"email": " New@Person.example ", "role": "analyst"}, follow=True)
    assert "A letter to “new@person.example” is on its way." in response.content.decode()
    [letter] = letters()
    path = link_in(letter)

    page = client.get(path)
    assert "“Acme Coffee” would like you in the team." in page.content.decode()
    assert "Invited by Alice. Your role: Analyst." in page.content.decode()
    assert not User.objects.filter(email=NEW).exists(), "looking changes nothing"
    joined = client.post(path)

    assert joined["Location"] == "/admin/password_change/"
    someone = Member.objects.get(user__email=NEW)
    assert (someone.organization, someone.role) == (acme, Role.ANALYST)
    assert client.session["_auth_user_id"] == str(someone.user_id)
    assert Invitation.objects.get().accepted_at is not None
    assert [entry.action for entry in AuditEntry.objects.order_by("pk")] == ["member.invited", "member.joined"]
    assert all(NEW not in str(entry.detail) for entry in AuditEntry.objects.all())


def test_the_letter_says_who_invites_to_what_and_until_when(alice: User, acme: Organization) -> None:
    with time_machine.travel("2026-11-25T10:00:00Z", tick=False):
        invite(actor=member(alice), email=NEW, role="marketer")

    [letter] = letters()
    text = body_of(letter).text
    assert (letter.purpose, letter.to, letter.organization) == ("invitation", NEW, acme)
    assert letter.subject == "Join “Acme Coffee” on AmazonSender"
    assert "Invited by Alice. Your role: Marketer." in text
    assert "The link works once, until" in text
    assert "(Europe/Riga)" in text
    assert letter.give_up_at - letter.due_at == datetime.timedelta(days=1)


def test_the_letter_speaks_the_readers_language(alice: User, acme: Organization, mallory: User) -> None:
    User.objects.filter(pk=mallory.pk).update(language="ru")
    invite(actor=member(alice), email=mallory.email, role="analyst")
    Organization.objects.filter(pk=acme.pk).update(locale="ru")
    invite(actor=member(alice), email=NEW, role="analyst")

    for letter in letters():
        body = body_of(letter)
        assert '<html lang="ru">' in body.html
        assert "Посмотреть приглашение" in body.text
        assert "Acme Coffee" in letter.subject


def test_names_cannot_smuggle_headers_or_markup_into_the_letter(alice: User, acme: Organization) -> None:
    Organization.objects.filter(pk=acme.pk).update(name="Acme\r\nBcc: all@acme.example <b>now</b>")

    invite(actor=member(alice), email=NEW, role="analyst")

    [letter] = letters()
    assert "\n" not in letter.subject
    assert "\r" not in letter.subject
    assert "<b>now</b>" not in body_of(letter).html
    assert "&lt;b&gt;now&lt;/b&gt;" in body_of(letter).html


def test_links_never_follow_the_host_of_the_request(alice_client: Client, settings: Settings) -> None:
    settings.PUBLIC_URL = "https://mail.acme.example"

    alice_client.post("/admin/team/", {"email": NEW, "role": "analyst"}, HTTP_HOST="evil.example")

    assert link_in(letters()[0]).startswith("/invitation/")
    assert "evil.example" not in body_of(letters()[0]).text + body_of(letters()[0]).html


def test_only_owners_and_admins_invite_and_only_owners_invite_owners(
    acme: Organization, bob: User, bob_client: Client, carol: User, alice: User
) -> None:
    admin = member(join(acme, "dan@acme.example", "Dan", Role.ADMIN))
    for actor in (member(bob), member(carol)):
        with pytest.raises(Forbidden):
            invite(actor=actor, email=NEW, role="analyst")
    with pytest.raises(Forbidden):
        invite(actor=admin, email=NEW, role="owner")
    assert bob_client.post("/admin/team/", {"email": NEW, "role": "analyst"}).status_code == 403
    assert (Invitation.objects.count(), SystemEmail.objects.count()) == (0, 0)

    invite(actor=admin, email=NEW, role="admin")
    owner = invite(actor=member(alice), email="owner@person.example", role="owner")
    for act in (invite_again, withdraw_invitation):
        with pytest.raises(Forbidden):
            act(actor=admin, invitation_id=owner.pk)
    with pytest.raises(Forbidden):
        invite(actor=admin, email="owner@person.example", role="analyst")

    assert Invitation.objects.get(pk=owner.pk).role == Role.OWNER
    page = bob_client.get("/admin/team/").content.decode()
    assert "Invite somebody" not in page
    assert NEW not in page


@pytest.mark.parametrize(
    ("email", "role", "says"),
    [
        ("nobody", "analyst", "“nobody” is no email address."),
        ("", "analyst", "“” is no email address."),
        ("a@b.example\nBcc: c@d.example", "analyst", "is no email address."),
        ("BOB@acme.example", "analyst", "“bob@acme.example” is in the team already."),
        (NEW, "emperor", "There is no such role."),
    ],
)
def test_what_cannot_be_invited_is_said_and_stays_in_the_form(
    alice_client: Client, email: str, role: str, says: str
) -> None:
    response = alice_client.post("/admin/team/", {"email": email, "role": role})

    assert response.status_code == 400
    assert says in response.content.decode()
    assert not SystemEmail.objects.exists()


def test_a_link_works_once(client: Client, alice: User) -> None:
    path = invited(alice)
    assert client.post(path).status_code == 302

    again = Client().post(path)

    assert again.status_code == 404
    assert "sessionid" not in again.cookies
    assert Member.objects.filter(user__email=NEW).count() == 1


def test_a_used_unknown_expired_or_withdrawn_link_answers_alike(client: Client, alice: User) -> None:
    used, withdrawn = invited(alice), invited(alice, "b@person.example")
    client.post(used)
    withdraw_invitation(actor=member(alice), invitation_id=Invitation.objects.get(email="b@person.example").pk)
    old = invited(alice, "c@person.example")
    Invitation.objects.filter(email="c@person.example").update(expires_at=timezone.now())

    answers = [
        [Client().get(path), Client().post(path)] for path in (used, withdrawn, old, "/invitation/nothing-of-the-sort/")
    ]

    assert {answer.status_code for pair in answers for answer in pair} == {404}
    assert len({answer.content for pair in answers for answer in pair}) == 1
    assert User.objects.filter(email__endswith="person.example").count() == 1


def test_inviting_again_replaces_link_role_and_term(alice_client: Client, alice: User, client: Client) -> None:
    first = invited(alice, role="analyst")
    second = invited(alice, role="marketer")
    pk = Invitation.objects.get().pk
    Invitation.objects.update(expires_at=timezone.now())
    assert "expired" in alice_client.get("/admin/team/").content.decode()
    alice_client.post(f"/admin/team/invitations/{pk}/again/")
    third = link_in(letters(purpose="invitation")[-1])

    assert [Client().post(path).status_code for path in (first, second)] == [404, 404]
    assert client.post(third).status_code == 302
    assert Member.objects.get(user__email=NEW).role == Role.MARKETER


def test_somebody_with_an_account_joins_with_it_and_keeps_what_they_have(
    mallory: User, mallory_client: Client, alice: User, alice_client: Client, acme: Organization
) -> None:
    mallory.set_password("a long password of mallory")
    mallory.save()
    path = invited(alice, "MALLORY@other.example")
    assert "joining signs that account out here" in alice_client.get(path).content.decode()

    response = alice_client.post(path)

    assert response["Location"] == "/admin/"
    assert set(Member.objects.filter(user=mallory).values_list("organization__name", flat=True)) == {
        "Acme Coffee",
        "Other Tea",
    }
    page = alice_client.get("/admin/").content.decode()
    assert "You are in the team of “Acme Coffee”." in page


def test_a_closed_account_does_not_come_back_by_an_invitation(alice: User, client: Client) -> None:
    User.objects.create_user(NEW, is_active=False)
    path = invited(alice)

    assert client.post(path).status_code == 404
    assert not Member.objects.filter(user__email=NEW).exists()
    assert Invitation.objects.get().accepted_at is None


def test_who_joined_meanwhile_keeps_the_role(alice: User, acme: Organization, client: Client) -> None:
    path = invited(alice, role="analyst")
    join(acme, NEW, "New", Role.ADMIN)

    assert client.post(path).status_code == 302

    assert Member.objects.get(user__email=NEW).role == Role.ADMIN


@pytest.mark.django_db(transaction=True)
def test_of_two_who_press_at_once_one_wins() -> None:
    cast = make_cast()
    token = invited(cast.alice).split("/")[-2]
    start, ends = threading.Barrier(2), []

    def press() -> None:
        start.wait()
        try:
            accept_invitation(token=token)
            ends.append("in")
        except NotFound:
            ends.append("late")
        finally:
            connection.close()

    threads = [threading.Thread(target=press) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(ends) == ["in", "late"]
    assert Member.objects.filter(user__email=NEW).count() == 1


def test_another_organizations_invitation_is_not_found(cast: Cast) -> None:
    invitation = invite(actor=member(cast.alice), email=NEW, role="analyst")

    for act in (invite_again, withdraw_invitation):
        with pytest.raises(NotFound):
            act(actor=member(cast.mallory), invitation_id=invitation.pk)

    assert Invitation.objects.get().withdrawn_at is None
    assert SystemEmail.objects.count() == 1


def test_two_organizations_invite_the_same_person_each_for_itself(cast: Cast, client: Client) -> None:
    ours, theirs = invited(cast.alice), invited(cast.mallory)
    assert client.post(ours).status_code == 302

    assert Client().post(theirs).status_code == 302

    assert Member.objects.filter(user__email=NEW).count() == 2


def test_a_day_has_fifty_invitations_at_most(alice: User, alice_client: Client, acme: Organization) -> None:
    pk = invite(actor=member(alice), email=NEW, role="analyst").pk
    SystemEmail.objects.bulk_create(
        [
            SystemEmail(
                organization=acme,
                purpose=SystemEmailPurpose.INVITATION,
                to="x@person.example",
                due_at=timezone.now(),
                give_up_at=timezone.now(),
            )
            for _ in range(49)
        ]
    )

    with pytest.raises(Conflict):
        invite(actor=member(alice), email="b@person.example", role="analyst")
    page = alice_client.post(f"/admin/team/invitations/{pk}/again/", follow=True).content.decode()

    assert "50 invitations in a day are the most." in page
    with time_machine.travel(timezone.now() + datetime.timedelta(days=1, minutes=1), tick=False):
        invite(actor=member(alice), email="b@person.example", role="analyst")


def test_without_a_way_out_the_page_says_so_and_nothing_is_made(alice_client: Client, settings: Settings) -> None:
    settings.SYSTEM_EMAIL_PROVIDER = "none"

    page = alice_client.get("/admin/team/").content.decode()
    refused = alice_client.post("/admin/team/", {"email": NEW, "role": "analyst"})

    assert "This installation has no way to send letters of its own." in page
    assert refused.status_code == 400
    assert "set SYSTEM_EMAIL_PROVIDER, then invite again." in refused.content.decode()
    assert not Invitation.objects.exists()


@pytest.mark.parametrize(
    ("state", "error", "says"),
    [
        ("queued", "", "The letter is on its way."),
        ("queued", "throttled: slower", "The letter waits for another try: throttled: slower"),
        ("failed", "message_rejected", "The letter was not sent: message_rejected"),
        ("unknown", "answer_lost", "The letter may have arrived, or not"),
        ("sent", "", "Take the invitation of"),
    ],
)
def test_the_team_page_says_what_became_of_the_letter(
    alice: User, alice_client: Client, state: str, error: str, says: str
) -> None:
    invite(actor=member(alice), email=NEW, role="analyst")
    over = {} if state == "queued" else {"sealed_body": "", "finished_at": timezone.now()}
    SystemEmail.objects.update(state=state, last_error=error, **over)

    page = alice_client.get("/admin/team/").content.decode()

    assert says in page
    assert ("The letter" in page) is (state != "sent")


def test_the_team_page_takes_an_invitation_back(alice: User, alice_client: Client, client: Client) -> None:
    path = invited(alice)

    page = alice_client.post(f"/admin/team/invitations/{Invitation.objects.get().pk}/withdraw/", follow=True)

    assert "The link to “new@person.example” opens nothing any more." in page.content.decode()
    assert client.post(path).status_code == 404
    assert AuditEntry.objects.order_by("-pk")[0].action == "invitation.withdrawn"


@pytest.mark.parametrize(
    ("role", "kept"),
    [("owner", {"a", "b"}), ("admin", {"a"}), ("marketer", set()), ("", set())],
)
def test_an_invitation_lives_as_long_as_its_inviter_may_invite(
    acme: Organization, alice: User, role: str, kept: set[str]
) -> None:
    dan = join(acme, "dan@acme.example", "Dan", Role.OWNER)
    paths = {
        "a": invited(dan, "a@person.example", "analyst"),
        "b": invited(dan, "b@person.example", "owner"),
    }
    others = invited(alice, "c@person.example", "owner")

    if role == "owner":
        change_role(actor=member(alice), member_id=member(dan).pk, role="admin")
        Invitation.objects.update(withdrawn_at=None)
    if role:
        change_role(actor=member(alice), member_id=member(dan).pk, role=role)
    else:
        remove_member(actor=member(alice), member_id=member(dan).pk)

    assert {name for name, path in paths.items() if Client().get(path).status_code == 200} == kept
    assert Client().get(others).status_code == 200
    assert AuditEntry.objects.order_by("-pk")[0].detail["withdrawn_invitations"] == 2 - len(kept)


def test_guessing_invitations_is_throttled(client: Client, db: None) -> None:
    answers = [client.get(f"/invitation/guess{number}/").status_code for number in range(21)]

    assert answers == [404] * 20 + [429]


def test_an_invitation_is_kept_by_no_cache(client: Client, alice: User) -> None:
    assert "no-store" in client.get(invited(alice))["Cache-Control"]


def test_inviting_needs_one_of_the_two_roles_at_the_moment_of_sending_again(alice: User, bob: User) -> None:
    pk = invite(actor=member(alice), email=NEW, role="analyst").pk

    with pytest.raises(Forbidden):
        invite_again(actor=member(bob), invitation_id=pk)
    with pytest.raises(InvalidInput):
        invite(actor=member(alice), email="alice@acme.example", role="analyst")
