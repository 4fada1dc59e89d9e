from __future__ import annotations

import pytest

from delivery.models import (
    Mailout,
)
from organizations.models import Organization
from subscribers.models import Subscriber
from tests.delivery.events.mailouts import add_message, make_mailout, make_subscriber


@pytest.fixture
def ana(acme: Organization) -> Subscriber:
    return make_subscriber(acme, "ana@example.com")


@pytest.fixture
def letter(acme: Organization, ana: Subscriber) -> Mailout:
    mailout = make_mailout(acme)
    add_message(mailout, 1, ana)
    return mailout
