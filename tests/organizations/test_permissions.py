import pytest

from amazonsender.core.errors import Forbidden
from organizations.models import Member, Role
from organizations.permissions import PERMISSIONS, may, require

READ = {
    "organization:view", "team:view", "account:view", "subscriber:view", "list:view", "suppression:view",
    "template:view", "campaign:view", "message:view",
}  # fmt: skip
WRITE = {
    "subscriber:edit", "subscriber:import", "subscriber:export", "list:edit", "suppression:edit", "template:edit",
    "campaign:edit", "campaign:test", "campaign:send", "message:export",
}  # fmt: skip
RUN = {
    "api_key:view",
    "api_key:edit",
    "organization:edit",
    "team:edit",
    "audit:view",
    "account:edit",
    "message:send_again",
}
TABLE = {
    Role.ANALYST: READ,
    Role.MARKETER: READ | WRITE,
    Role.ADMIN: READ | WRITE | RUN,
    Role.OWNER: READ | WRITE | RUN | {"team:edit_owners", "account:set_up", "account:statistics"},
}


@pytest.mark.parametrize("role", Role)
def test_each_role_may_do_exactly_what_the_table_says(role: Role) -> None:
    member = Member(role=role)

    assert {permission for permission in PERMISSIONS if may(member, permission)} == TABLE[role]


def test_a_stranger_may_do_nothing() -> None:
    assert not any(may(None, permission) for permission in PERMISSIONS)


def test_asking_for_a_permission_that_does_not_exist_is_a_bug() -> None:
    with pytest.raises(KeyError):
        may(Member(role=Role.OWNER), "campaign:sned")


def test_requiring_what_the_role_lacks_is_forbidden() -> None:
    require(Member(role=Role.MARKETER), "campaign:send")

    with pytest.raises(Forbidden):
        require(Member(role=Role.ANALYST), "campaign:send")
