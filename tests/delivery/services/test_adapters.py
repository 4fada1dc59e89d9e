"""The adapter of an account: one per process, region and endpoint, with the account's own keys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from amazonsender.core.errors import InvalidInput
from delivery.models import SendingAccount
from delivery.providers.base import PermanentError
from delivery.services import providers
from delivery.services.providers import administration_for, forget_providers, provider_for, topics_for
from tests.factories import AccountFactory


@pytest.fixture
def no_providers() -> Iterator[None]:
    forget_providers()
    yield
    forget_providers()


def test_an_account_has_one_adapter_per_process(
    account: SendingAccount, no_providers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = provider_for(account)
    assert provider_for(SendingAccount.objects.get(pk=account.pk)) is first

    monkeypatch.setattr("os.getpid", lambda: 1)  # after a fork
    second = provider_for(account)

    assert second is not first
    assert provider_for(account) is second


def test_another_region_or_endpoint_is_another_adapter(
    account: SendingAccount, no_providers: None, settings: Settings
) -> None:
    first = provider_for(account)
    account.region = "eu-central-1"
    second = provider_for(account)
    settings.SES_ENDPOINT_URL = "http://127.0.0.1:2"
    third = provider_for(account)

    assert len({id(first), id(second), id(third)}) == 3


def test_forgotten_adapters_are_closed(
    account: SendingAccount, no_providers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[object] = []
    provider = provider_for(account)
    monkeypatch.setattr(type(provider), "close", lambda self: closed.append(self))

    forget_providers()

    assert closed == [provider]
    assert provider_for(account) is not provider


def test_a_local_account_talks_to_local_ses_with_its_keys_and_a_real_one_never_does(
    account: SendingAccount, no_providers: None, settings: Settings
) -> None:
    settings.LOCALSES_URL, settings.SES_ENDPOINT_URL = "http://127.0.0.1:3", ""
    local = AccountFactory.create(organization=account.organization)

    assert providers._config(local) == {
        "region": "us-east-1",
        "endpoint_url": "http://127.0.0.1:3",
        "access_key": "localses",
        "secret_key": "localses-secret",
    }
    assert providers._config(account) == {"region": "us-east-1", "endpoint_url": None}


def test_set_up_operations_are_for_ses_alone(
    account: SendingAccount, no_providers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert administration_for(account) is provider_for(account)
    assert topics_for(account) is not None

    monkeypatch.setattr(providers, "create_provider", lambda _name, **_config: object())
    monkeypatch.setattr(providers, "_providers", {})

    with pytest.raises(InvalidInput, match="“Test” is no Amazon SES account"):
        administration_for(account)
    providers._providers.clear()


def test_without_local_ses_mail_of_a_local_account_goes_nowhere(db: None, settings: Settings) -> None:
    settings.LOCALSES_URL = ""
    account = AccountFactory.create(is_local=True)

    with pytest.raises(PermanentError, match="set LOCALSES_URL"):
        provider_for(account)
