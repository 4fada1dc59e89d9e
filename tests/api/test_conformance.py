"""Every operation against the committed OpenAPI document, over HTTP, with bodies and parameters that nobody would write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings, strategies
from hypothesis.errors import Unsatisfiable
from pytest_django.live_server_helper import LiveServer
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from organizations.models import Organization
from tests.api.conftest import program_of
from tests.cast import make_cast
from tests.docs.pages import PROJECT
from tests.organizations.wall import belongings

EXAMPLES = 4  # of each kind for each operation: forty operations and two kinds stay below twenty seconds
CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

document = schemathesis.openapi.from_path(PROJECT / "docs" / "openapi.yaml")
operations: list[Any] = [found.ok() for found in document.get_all_operations()]  # type: ignore[union-attr]  # .ok() raises


@pytest.fixture
def seeded(transactional_db: None) -> tuple[Organization, dict[str, Any]]:
    cast = make_cast()
    return cast.acme, belongings(cast)


def test_no_operation_fails_or_answers_what_is_not_written(
    seeded: tuple[Organization, dict[str, Any]], live_server: LiveServer
) -> None:
    organization, things = seeded
    headers = {"Authorization": f"Bearer {program_of(organization).secret}"}
    known = {
        "list_id": things["list"], "who": things["subscriber"], "suppression_id": things["suppression"],
        "template_id": things["template"], "campaign_id": things["campaign"], "mailout_id": things["mailout"], "n": 1,
    }  # fmt: skip
    statuses: set[int] = set()
    failed: list[str] = []
    assert len(operations) >= 40

    def ask(case: Any, is_there: bool) -> None:
        if is_there:  # so that the body is read
            is_upsert = case.method == "PUT" and case.path.endswith("{who}")
            there = known | {"who": "ann@example.com"} if is_upsert else known
            case.path_parameters = {
                name: str(there.get(name, value)) for name, value in (case.path_parameters or {}).items()
            }
        answer = case.call(base_url=live_server.url, headers=headers)
        statuses.add(answer.status_code)
        case.validate_response(answer, checks=CHECKS)

    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            try:
                _ask_often(operation.as_strategy(generation_mode=mode), ask)
            except Unsatisfiable:
                assert mode is GenerationMode.NEGATIVE, operation.label  # nothing to get wrong
            except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - all operations are asked, then all are told
                failed.append(f"{operation.label} {mode.value}: {error}")

    assert not failed, "\n\n".join(failed)
    assert {200, 201, 204, 400, 404, 409} <= statuses


def _ask_often(cases: Any, ask: Callable[[Any, bool], None]) -> None:
    @seed(1)
    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=cases, is_there=strategies.booleans())
    def once(case: Any, is_there: bool) -> None:
        ask(case, is_there)

    once()
