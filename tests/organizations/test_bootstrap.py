import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from organizations.models import AuditEntry, Member, Organization, Role, User


def bootstrap(**options: str) -> dict[str, Any]:
    out = io.StringIO()
    arguments = {"email": "Ann@First.example", "organization": "First", **options}
    call_command("bootstrap", format="json", stdout=out, **arguments)
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


@pytest.mark.django_db
def test_the_first_organization_gets_an_owner_who_can_sign_in(client: Client) -> None:
    answer = bootstrap(postal_address="Pier Street 14", time_zone="Europe/Riga")

    organization = Organization.objects.get()
    member = Member.objects.get()
    assert (organization.name, organization.postal_address, organization.time_zone) == (
        "First",
        "Pier Street 14",
        "Europe/Riga",
    )
    assert (member.organization, member.user.email, member.role) == (organization, "ann@first.example", Role.OWNER)
    assert not member.user.has_usable_password()
    assert answer["created"] is True
    assert client.post(answer["sign_in_link"]).status_code == 302
    assert client.get("/admin/team/").status_code == 200


@pytest.mark.django_db
def test_repeating_it_changes_nothing_but_gives_another_link() -> None:
    first = bootstrap(postal_address="Pier Street 14")

    second = bootstrap(postal_address="Elsewhere 1")

    assert second["created"] is False
    assert second["sign_in_link"] != first["sign_in_link"]
    assert second["organization_id"] == first["organization_id"]
    assert Organization.objects.get().postal_address == "Pier Street 14"
    assert (User.objects.count(), Member.objects.count(), AuditEntry.objects.count()) == (1, 1, 1)


@pytest.mark.django_db
def test_a_member_with_a_lesser_role_becomes_an_owner() -> None:
    bootstrap()
    Member.objects.update(role=Role.ANALYST)

    bootstrap()

    assert Member.objects.get().role == Role.OWNER
    assert AuditEntry.objects.filter(action="member.became_owner").count() == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("email", "not an address"),
        ("time_zone", "Europe/Atlantis"),
        ("organization", " "),
        ("organization", "x" * 121),
    ],
)
def test_what_cannot_be_right_is_refused_and_nothing_is_made(name: str, value: str) -> None:
    with pytest.raises(CommandError):
        bootstrap(**{name: value})

    assert not Organization.objects.exists()
    assert not User.objects.exists()


@pytest.mark.django_db
def test_people_get_sentences() -> None:
    out = io.StringIO()

    call_command("bootstrap", email="ann@first.example", organization="First", stdout=out)

    lines = out.getvalue().splitlines()
    assert lines[0] == "First: ann@first.example is an owner."
    assert lines[1].startswith("Sign in once, within 24 hours: http://testserver/sign-in/")
