"""What stops a mailout before it starts."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import Settings

from delivery.models import SenderIdentity
from delivery.providers.base import IdentityStatus
from delivery.selectors.audience import Audience
from delivery.services import accounts
from delivery.services.preflight import Blocker, blocking_reasons, is_loopback
from tests.delivery.engine.world import World, make_world
from tests.factories import OrganizationFactory


class Verifying:
    """A provider that knows which senders are verified."""

    def __init__(self, *verified: str) -> None:
        self.verified = verified
        self.asked: list[str] = []

    def identity_status(self, identity: str) -> IdentityStatus:
        self.asked.append(identity)
        return IdentityStatus(identity, identity in self.verified, "SUCCESS", "")


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Verifying:
    made = Verifying("news@example.com")
    monkeypatch.setattr(accounts, "provider_for", lambda _account: made)
    return made


def reasons(world: World, **changes: Any) -> list[Blocker]:
    wanted: dict[str, Any] = {
        "organization": world.organization,
        "account": world.account,
        "compiled": world.compiled,
        "subject": "Hello",
        "audience": Audience((world.list.pk,)),
        "sender_email": "news@example.com",
    }
    return blocking_reasons(**(wanted | changes))


def codes(world: World, **changes: Any) -> list[str]:
    return [blocker.code for blocker in reasons(world, **changes)]


def test_nothing_stops_a_mailout_that_has_everything(world: World, provider: Verifying) -> None:
    world.add_people(1)

    assert reasons(world) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"subject": " \t"}, "no_subject"),
        ({"compiled": None}, "no_body"),
        ({"audience": Audience(())}, "no_audience"),
        ({"sender_email": ""}, "no_sender"),
        ({"account": None}, "no_account"),
        ({"sender_email": "other@example.com"}, "sender_not_verified"),
    ],
)
def test_each_missing_thing_stops_it_alone(
    world: World, provider: Verifying, changes: dict[str, Any], code: str
) -> None:
    world.add_people(1)

    assert codes(world, **changes) == [code]


def test_everything_missing_is_named_at_once(world: World, provider: Verifying) -> None:
    world.organization.postal_address = " "

    assert codes(world, subject="", compiled=None, sender_email="", account=None) == [
        "no_subject",
        "no_body",
        "no_postal_address",
        "no_sender",
        "no_audience",
        "no_account",
    ]


def test_an_audience_of_people_who_may_not_be_mailed_is_nobody(world: World, provider: Verifying) -> None:
    world.add_people(2, status="bounced")

    assert codes(world) == ["no_audience"]


def test_a_test_send_has_no_audience_to_stop_it(world: World, provider: Verifying) -> None:
    assert codes(world, audience=None) == []


def test_sample_people_are_never_sent_to_through_a_real_account(
    world: World, provider: Verifying, settings: Settings
) -> None:
    settings.PUBLIC_URL = "https://mail.acme.example"
    world.add_people(1, is_sample=True)
    assert codes(world) == []

    world.account.is_local = False

    assert codes(world) == ["sample_people"]
    assert codes(world, is_dry_run=True) == []
    assert codes(world, account=None) == ["no_account"]


def test_sample_people_who_would_not_get_it_stop_nobody(world: World, provider: Verifying, settings: Settings) -> None:
    settings.PUBLIC_URL = "https://mail.acme.example"
    world.account.is_local = False
    world.add_people(1)
    world.add_people(1, start=5, is_sample=True, status="unsubscribed")

    assert codes(world) == []


def test_links_that_lead_to_this_machine_stop_a_real_account(
    world: World, provider: Verifying, settings: Settings
) -> None:
    settings.PUBLIC_URL = "http://localhost:8000"
    world.add_people(1)
    assert codes(world) == []

    world.account.is_local = False

    assert codes(world) == ["loopback_url"]
    assert reasons(world)[0].message == "PUBLIC_URL is http://localhost:8000: readers could not open a single link."


def test_a_dry_run_needs_neither_account_nor_verified_sender(world: World, provider: Verifying) -> None:
    world.add_people(1)

    assert codes(world, account=None, sender_email="other@example.com", is_dry_run=True) == []
    assert provider.asked == []


def test_a_verified_sender_or_domain_is_not_asked_for_again(world: World, provider: Verifying) -> None:
    world.add_people(1)
    SenderIdentity.objects.create(
        organization=world.organization, account=world.account, identity="shop.example", is_verified=True
    )

    assert codes(world, sender_email="Hello@Shop.Example") == []
    assert provider.asked == []
    assert codes(world) == []
    assert codes(world) == []
    assert provider.asked == ["news@example.com"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost", True),
        ("http://app.localhost:8000", True),
        ("http://127.8.9.1/x", True),
        ("http://[::1]:8000", True),
        ("https://mail.acme.example", False),
        ("http://192.168.1.5", False),
        ("http://localhost.example", False),
        ("", False),
    ],
)
def test_what_leads_to_this_machine(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected


def test_an_account_or_a_list_of_another_organization_stops_it(world: World, provider: Verifying) -> None:
    other = make_world(OrganizationFactory.create())
    other.add_people(1)
    world.add_person("ours")

    assert codes(world, account=other.account) == ["no_account"]
    assert provider.asked == []
    assert codes(world, audience=Audience((other.list.pk,))) == ["no_audience"]
