"""What tests of the limiter and of claiming share."""

from __future__ import annotations

import pytest

from delivery.models import SendingAccount
from tests.factories import AccountFactory


@pytest.fixture
def account(transactional_db: None) -> SendingAccount:
    return AccountFactory.create()
