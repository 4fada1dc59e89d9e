"""The OpenAPI document keeps its word: schemathesis asks everything it allows, and much that it doesn't."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from organizations.permissions import API_SCOPES
from organizations.services.api_keys import issue_api_key
from tests.campaigns.world import make_account, make_campaign, make_list
from tests.cast import Cast

pytestmark = pytest.mark.django_db

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(autouse=True)
def connection_stays(db: None) -> Iterator[None]:
    """A request of a real handler ends its connection, which here holds the test's transaction."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def secret(cast: Cast) -> str:
    """The key of an organization that has something of everything to find."""
    account = make_account(cast.acme)
    make_campaign(cast.acme, account, make_list(cast.acme, "News", people=2), actor=None)
    _key, secret = issue_api_key(organization=cast.acme, name="Fuzz", scopes=API_SCOPES, days=None, actor=None)
    return secret


DOCUMENT = schemathesis.openapi.from_path(Path(__file__).parents[2] / "docs/openapi.yaml")
DOCUMENT.app = WSGIHandler()
OPERATIONS = [operation.ok() for operation in DOCUMENT.get_all_operations()]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_no_answer_is_a_surprise(operation: Any, secret: str) -> None:
    @given(case=operation.as_strategy())
    @settings(
        max_examples=8, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def ask(case: Any) -> None:
        response = case.call(headers={"Authorization": f"Bearer {secret}"})
        case.validate_response(response, checks=CHECKS)

    ask()
