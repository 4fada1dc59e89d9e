from __future__ import annotations

import pytest

from campaigns.models import Campaign, Template
from campaigns.services.templates import create_template
from delivery.models import SendingAccount
from organizations.models import Organization, User
from subscribers.models import List
from tests.campaigns import world


@pytest.fixture
def account(acme: Organization) -> SendingAccount:
    return world.make_account(acme)


@pytest.fixture
def newsletter(acme: Organization) -> List:
    return world.make_list(acme, "Newsletter", people=5)


@pytest.fixture
def template(acme: Organization) -> Template:
    return create_template(organization=acme, name="Frame", html=world.FRAME)


@pytest.fixture
def campaign(acme: Organization, account: SendingAccount, newsletter: List, alice: User) -> Campaign:
    """A draft that nothing stops."""
    return world.make_campaign(acme, account, newsletter, actor=alice)
