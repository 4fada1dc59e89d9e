import threading

import pytest
from django.db import connection
from django.test import Client

from amazonsender.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from organizations.models import AuditEntry, Member, Organization, Role, User
from organizations.services.team import change_role, remove_member
from tests.cast import Cast, join, make_cast


def member(user: User) -> Member:
    return Member.objects.get(user=user)


def test_the_page_lists_the_people_of_the_organization_only(alice_client: Client, cast: Cast) -> None:
    content = alice_client.get("/admin/team/").content.decode()

    assert "3 people work here." in content
    assert "bob@acme.example" in content
    assert "mallory@other.example" not in content


def test_an_owner_gives_somebody_another_role(alice_client: Client, acme: Organization, bob: User) -> None:
    response = alice_client.post(f"/admin/team/{member(bob).pk}/role/", {"role": "admin"}, follow=True)

    assert member(bob).role == Role.ADMIN
    assert "Bob: Admin from now on." in response.content.decode()
    entry = AuditEntry.objects.get()
    assert (entry.organization, entry.action, entry.detail) == (
        acme,
        "member.role_changed",
        {"before": "marketer", "after": "admin", "withdrawn_invitations": 0},
    )


def test_a_marketer_sees_the_team_and_changes_nobody(bob_client: Client, carol: User) -> None:
    page = bob_client.get("/admin/team/")
    assert page.status_code == 200
    assert b"<select" not in page.content

    assert bob_client.post(f"/admin/team/{member(carol).pk}/role/", {"role": "owner"}).status_code == 403
    assert bob_client.post(f"/admin/team/{member(carol).pk}/remove/").status_code == 403
    assert member(carol).role == Role.ANALYST


def test_only_owners_make_and_unmake_owners(acme: Organization, alice: User, bob: User) -> None:
    admin = member(join(acme, "dan@acme.example", "Dan", Role.ADMIN))

    for target, role in [(bob, "owner"), (alice, "marketer")]:
        with pytest.raises(Forbidden):
            change_role(actor=admin, member_id=member(target).pk, role=role)
    with pytest.raises(Forbidden):
        remove_member(actor=admin, member_id=member(alice).pk)

    assert (member(alice).role, member(bob).role) == (Role.OWNER, Role.MARKETER)
    assert not AuditEntry.objects.exists()


def test_the_last_owner_stays(alice: User, alice_client: Client) -> None:
    response = alice_client.post(f"/admin/team/{member(alice).pk}/role/", {"role": "admin"}, follow=True)

    assert "Somebody has to own the organization." in response.content.decode()
    with pytest.raises(Conflict):
        remove_member(actor=member(alice), member_id=member(alice).pk)
    assert member(alice).role == Role.OWNER


def test_a_member_of_another_organization_is_not_found(alice: User, mallory: User) -> None:
    with pytest.raises(NotFound):
        change_role(actor=member(mallory), member_id=member(alice).pk, role="analyst")
    with pytest.raises(NotFound):
        remove_member(actor=member(mallory), member_id=member(alice).pk)

    assert member(alice).role == Role.OWNER


def test_a_role_that_does_not_exist_is_refused(alice: User, bob: User) -> None:
    with pytest.raises(InvalidInput):
        change_role(actor=member(alice), member_id=member(bob).pk, role="emperor")

    assert member(bob).role == Role.MARKETER


def test_taking_somebody_out_keeps_the_account(alice_client: Client, bob: User) -> None:
    alice_client.post(f"/admin/team/{member(bob).pk}/remove/")

    assert not Member.objects.filter(user=bob).exists()
    assert User.objects.filter(pk=bob.pk).exists()
    assert AuditEntry.objects.get().action == "member.removed"


@pytest.mark.django_db(transaction=True)
def test_two_owners_who_unmake_each_other_at_once_leave_one() -> None:
    cast = make_cast()
    bob = member(cast.bob)
    Member.objects.filter(pk=bob.pk).update(role=Role.OWNER)
    pairs = [(member(cast.alice), bob.pk), (member(cast.bob), member(cast.alice).pk)]
    start, refused = threading.Barrier(2), []

    def unmake(actor: Member, target: int) -> None:
        start.wait()
        try:
            change_role(actor=actor, member_id=target, role="analyst")
        except (Conflict, Forbidden) as error:
            refused.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=unmake, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Member.objects.filter(organization=cast.acme, role=Role.OWNER).count() == 1
    assert len(refused) == 1
