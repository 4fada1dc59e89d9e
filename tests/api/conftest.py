"""A program of acme's, and one of the other organization's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from django.test import Client

from delivery.models import SendingAccount
from organizations.models import Organization
from organizations.permissions import API_SCOPES
from organizations.services.api_keys import issue_api_key
from subscribers.models import List
from tests.campaigns.world import make_account
from tests.cast import Cast
from tests.factories import ListFactory, SubscriberFactory, SubscriptionFactory


@dataclass
class Program:
    """Calls the API with a key."""

    secret: str

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Send a request; names of headers with _ for -."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return Client(headers={"Authorization": f"Bearer {self.secret}"}).generic(
            method,
            f"/api/v1/{path}",
            b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body),
            content_type="application/json",
            headers=sent,
        )


def program_of(organization: Organization, scopes: Iterable[str] = API_SCOPES) -> Program:
    _key, secret = issue_api_key(organization=organization, name="Program", scopes=scopes, days=None, actor=None)
    return Program(secret)


@pytest.fixture
def api(cast: Cast) -> Program:
    return program_of(cast.acme)


@pytest.fixture
def stranger(cast: Cast) -> Program:
    return program_of(cast.other)


@pytest.fixture
def limited(cast: Cast) -> Callable[..., Program]:
    return lambda *scopes: program_of(cast.acme, scopes)


@pytest.fixture
def account(cast: Cast) -> SendingAccount:
    return make_account(cast.acme)


@pytest.fixture
def news(cast: Cast) -> List:
    found = ListFactory.create(organization=cast.acme, name="News")
    for name in ("ann", "bea", "cid"):
        person = SubscriberFactory.create(organization=cast.acme, email=f"{name}@example.com")
        SubscriptionFactory.create(subscriber=person, list=found)
    return found
