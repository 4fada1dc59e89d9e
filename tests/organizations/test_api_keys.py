"""Keys of programs: made, shown once, used, closed."""

from __future__ import annotations

import datetime
import io

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from amazonsender.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from organizations.models import ApiKey, AuditEntry, Member, User
from organizations.permissions import API_SCOPES, PERMISSIONS
from organizations.services.api_keys import (
    checked_scopes,
    create_api_key,
    digest_of,
    find_api_key,
    issue_api_key,
    revoke_api_key,
)
from tests.cast import Cast

pytestmark = pytest.mark.django_db


def member(cast: Cast, user: User) -> Member:
    return Member.objects.select_related("organization", "user").get(user=user, organization=cast.acme)


def test_the_table_never_holds_a_secret(cast: Cast) -> None:
    key, secret = create_api_key(member=member(cast, cast.alice), name=" Shop ", scopes=["list:edit"])

    stored = ApiKey.objects.values().get()
    assert secret not in str(stored)
    assert bytes(stored["digest"]) == digest_of(secret)
    assert key.name == "Shop"
    assert key.scopes == ["list:view", "list:edit"]  # whoever changes may look
    assert AuditEntry.objects.get(action="api_key.created").actor == cast.alice


def test_a_key_opens_until_it_is_closed_or_expires(cast: Cast) -> None:
    alice = member(cast, cast.alice)
    key, secret = create_api_key(member=alice, name="Shop", scopes=["list:view"], days=1)

    found = find_api_key(secret)
    assert found == key
    assert ApiKey.objects.get().last_used_at is not None
    assert find_api_key(secret + "x") is None

    ApiKey.objects.update(expires_at=timezone.now() - datetime.timedelta(seconds=1))
    assert find_api_key(secret) is None
    ApiKey.objects.update(expires_at=None)
    revoke_api_key(member=alice, pk=key.pk)
    assert find_api_key(secret) is None
    with pytest.raises(Conflict):
        revoke_api_key(member=alice, pk=key.pk)


def test_another_organization_s_key_can_t_be_closed(cast: Cast) -> None:
    key, _secret = issue_api_key(organization=cast.other, name="Theirs", scopes=API_SCOPES, days=None, actor=None)

    with pytest.raises(NotFound):
        revoke_api_key(member=member(cast, cast.alice), pk=key.pk)

    assert ApiKey.objects.get(pk=key.pk).is_open


def test_marketers_make_no_keys(cast: Cast) -> None:
    marketer = Member.objects.filter(organization=cast.acme, role="marketer").select_related("organization").get()

    with pytest.raises(Forbidden):
        create_api_key(member=marketer, name="Mine", scopes=["list:view"])

    assert not ApiKey.objects.exists()


@pytest.mark.parametrize(
    ("name", "scopes", "days"),
    [
        ("", ["list:view"], None),
        ("x" * 121, ["list:view"], None),
        ("A", [], None),
        ("A", ["team:edit"], None),
        ("A", ["list:view"], 0),
        ("A", ["list:view"], 3651),
    ],
)
def test_a_key_needs_a_name_scopes_and_a_sensible_life(
    cast: Cast, name: str, scopes: list[str], days: int | None
) -> None:
    with pytest.raises(InvalidInput):
        issue_api_key(organization=cast.acme, name=name, scopes=scopes, days=days, actor=None)


def test_every_scope_is_a_permission_and_none_opens_the_house(cast: Cast) -> None:
    assert set(API_SCOPES) < set(PERMISSIONS)
    assert not {scope for scope in API_SCOPES if scope.startswith(("team:", "api_key:", "organization:", "account:"))}
    assert checked_scopes(API_SCOPES) == list(API_SCOPES)


def test_the_page_shows_a_new_secret_once(cast: Cast, client: Client) -> None:
    client.force_login(cast.alice)

    made = client.post("/admin/api-keys/", {"name": "Shop", "scope": ["list:view", "campaign:send"], "days": "30"})
    key = ApiKey.objects.get()
    secret = made.content.decode().partition('value="ask_')[2].partition('"')[0]

    assert made.status_code == 200
    assert made["Cache-Control"].startswith("max-age=0, no-cache, no-store")
    assert find_api_key("ask_" + secret) == key
    assert key.scopes == ["list:view", "campaign:view", "campaign:send"]
    assert key.expires_at is not None
    again = client.get("/admin/api-keys/").content.decode()
    assert secret not in again
    assert key.prefix in again

    client.post(f"/admin/api-keys/{key.pk}/close/")
    assert not ApiKey.objects.get().is_open


def test_the_page_says_what_is_missing_and_keeps_what_was_written(cast: Cast, client: Client) -> None:
    client.force_login(cast.alice)

    page = client.post("/admin/api-keys/", {"name": "Shop", "days": ""})

    assert page.status_code == 400
    assert "Choose what the key may do." in page.content.decode()
    assert 'value="Shop"' in page.content.decode()


def test_the_command_prints_the_secret_and_nothing_else(cast: Cast) -> None:
    out, err = io.StringIO(), io.StringIO()

    call_command("create_api_key", "Cron", organization=cast.acme.pk, scopes=["list:view"], stdout=out, stderr=err)

    found = find_api_key(out.getvalue().strip())
    assert found is not None
    assert found.organization == cast.acme
    assert "Cron" in err.getvalue()
    for wrong in ({}, {"organization": 0}, {"organization": cast.acme.pk, "days": 0}):
        with pytest.raises(CommandError):
            call_command("create_api_key", "Cron", **wrong, stdout=out, stderr=err)
