from __future__ import annotations

import pytest
from pytest_django import Settings

from delivery.models import SendingAccount
from delivery.services import accounts, domains, inspecting, local_accounts, setting_up
from tests.delivery.services.amazon import Amazon
from tests.delivery.services.fake_amazon import FakeAmazon
from tests.factories import AccountFactory


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Amazon:
    """Amazon, for everything that asks it."""
    made = Amazon()
    for module in (accounts, domains, inspecting, setting_up):
        for name in ("provider_for", "administration_for", "topics_for"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, lambda _account: made)
    return made


@pytest.fixture
def public(settings: Settings) -> str:
    settings.PUBLIC_URL = "https://mail.acme.example"
    return "https://mail.acme.example/webhooks/ses/"


@pytest.fixture
def at_amazon(db: None, public: str) -> SendingAccount:
    """An account that is connected and nothing else."""
    return AccountFactory.create(is_local=False, region="eu-west-1", configuration_set="", topic_arns=[])


@pytest.fixture
def amazon(monkeypatch: pytest.MonkeyPatch) -> FakeAmazon:
    made = FakeAmazon()
    for module, name in (
        (accounts, "provider_for"),
        (accounts, "administration_for"),
        (local_accounts, "administration_for"),
        (local_accounts, "topics_for"),
    ):
        monkeypatch.setattr(module, name, lambda _account: made)
    return made


@pytest.fixture
def account(db: None) -> SendingAccount:
    return AccountFactory.create(is_local=False)
