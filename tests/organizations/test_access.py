import pytest

from amazonsender.core.errors import NotFound
from organizations.access import access, access_member
from organizations.models import Member, Organization, User
from subscribers.models import List


def test_a_row_of_the_organization_is_found(acme: Organization) -> None:
    row = List.objects.create(organization=acme, name="News")

    assert access(List.objects, organization=acme, pk=row.pk) == row
    assert access(List.objects, organization=acme, pk=str(row.pk)) == row


@pytest.mark.parametrize("pk", [0, "x", "1; DROP TABLE", None, 10**30, "", [1]])
def test_a_key_that_cannot_exist_is_not_found(acme: Organization, pk: object) -> None:
    with pytest.raises(NotFound):
        access(List.objects, organization=acme, pk=pk)


def test_a_row_of_another_organization_looks_like_one_that_does_not_exist(
    acme: Organization, other: Organization
) -> None:
    theirs = List.objects.create(organization=other, name="News")

    with pytest.raises(NotFound) as foreign:
        access(List.objects, organization=acme, pk=theirs.pk)
    with pytest.raises(NotFound) as missing:
        access(List.objects, organization=acme, pk=theirs.pk + 1)

    assert str(foreign.value) == str(missing.value)


def test_a_member_is_found_only_by_themselves(acme: Organization, alice: User, mallory: User) -> None:
    assert access_member(user=alice, organization_id=acme.pk) == Member.objects.get(user=alice)

    for user, organization_id in [(mallory, acme.pk), (alice, None), (alice, "x"), (alice, 10**30)]:
        with pytest.raises(NotFound):
            access_member(user=user, organization_id=organization_id)
