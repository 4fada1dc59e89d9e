"""Accounts at Local SES, set up whole in one go."""

from __future__ import annotations

from pytest_django import Settings

from delivery.models import AccountPace, SenderIdentity, SendingAccount
from delivery.services.accounts import (
    EVENT_TYPES,
)
from delivery.services.local_accounts import set_up_local_account
from organizations.models import Organization
from tests.delivery.services.fake_amazon import FakeAmazon
from tests.factories import OrganizationFactory


def test_setting_local_ses_up_makes_everything_once(db: None, amazon: FakeAmazon, settings: Settings) -> None:
    settings.LOCALSES_URL, settings.PUBLIC_URL = "http://127.0.0.1:1", "http://testserver"
    organization = OrganizationFactory.create()
    set_name = f"amazonsender-{organization.pk}"
    topic = f"arn:aws:sns:us-east-1:000000000000:{set_name}"

    first = set_up_local_account(organization=organization)
    done = list(amazon.done)
    second = set_up_local_account(organization=organization, name="Another name")

    assert first.pk == second.pk
    assert SendingAccount.objects.get().name == "Local SES"
    assert done == [
        ("set", set_name),
        ("subscribe", topic, "http", "http://testserver/webhooks/ses/"),
        ("destination", set_name, topic, EVENT_TYPES),
    ]
    assert amazon.done == done * 2
    account = SendingAccount.objects.get()
    assert (account.configuration_set, account.topic_arns) == (set_name, [topic])
    assert (account.pilot_size, account.pilot_wait_seconds) == (500, 5)
    assert SenderIdentity.objects.get().is_verified
    assert AccountPace.objects.get(account=account).max_rate == 14


def test_local_ses_is_set_up_without_a_sender_and_behind_https(
    db: None, amazon: FakeAmazon, settings: Settings
) -> None:
    settings.LOCALSES_URL, settings.PUBLIC_URL = "http://127.0.0.1:1", "https://mail.acme.example"

    set_up_local_account(organization=OrganizationFactory.create(sender_email=""))

    assert SenderIdentity.objects.count() == 0
    assert amazon.done[1][2:] == ("https", "https://mail.acme.example/webhooks/ses/")


def test_at_another_address_events_of_local_ses_come_to_that_alone(
    db: None, amazon: FakeAmazon, settings: Settings
) -> None:
    settings.LOCALSES_URL, settings.PUBLIC_URL = "http://127.0.0.1:1", "http://localhost:8000"
    organization = OrganizationFactory.create()
    account = set_up_local_account(organization=organization)
    amazon.subscriptions[f"{account.topic_arns[0]}:theirs"] = "http://localhost:9999/a/listener/of/theirs"
    amazon.subscriptions["another-topic:1"] = "http://localhost:8000/webhooks/ses/"

    settings.PUBLIC_URL = "http://localhost:8001"
    set_up_local_account(organization=organization)

    assert sorted(amazon.subscriptions.values()) == [
        "http://localhost:8000/webhooks/ses/",
        "http://localhost:8001/webhooks/ses/",
        "http://localhost:9999/a/listener/of/theirs",
    ]
    assert "another-topic:1" in amazon.subscriptions


def test_each_organization_gets_a_local_account_of_its_own(db: None, amazon: FakeAmazon, settings: Settings) -> None:
    settings.LOCALSES_URL = "http://127.0.0.1:1"
    first: Organization = OrganizationFactory.create()
    second: Organization = OrganizationFactory.create()

    assert set_up_local_account(organization=first).pk != set_up_local_account(organization=second).pk
