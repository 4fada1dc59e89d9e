from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel

from localses import api
from localses.api import OPERATIONS
from localses.errors import ServiceError
from localses.model import ServiceModelSes, Violation, checker, parse
from tests.localses.conftest import Door

SERVICE = ServiceModel(Loader().load_service_model("sesv2", "service-2"), "sesv2")
MODEL = ServiceModelSes(frozenset(OPERATIONS))


def violation(shape: str, value: Any) -> str | None:
    try:
        checker(SERVICE.shape_for(shape))(value)
    except Violation as found:
        return str(found).partition("Value at ")[2]
    return None


@pytest.mark.parametrize(
    ("shape", "value", "said"),
    [
        ("SendingOptions", {"SendingEnabled": True}, None),
        ("SendingOptions", {"SendingEnabled": None}, None),
        (
            "SendingOptions",
            {"SendingEnabled": "yes"},
            "'sendingEnabled' failed to satisfy constraint: Member must be a ",
        ),
        ("SendingOptions", [], "'request' failed to satisfy constraint: Member must be an object"),
        ("SendQuota", {"MaxSendRate": 14}, None),
        ("SendQuota", {"MaxSendRate": True}, "'maxSendRate' failed to satisfy constraint: Member must be a number"),
        ("SendQuota", {"MaxSendRate": "14"}, "'maxSendRate' failed to satisfy constraint: Member must be a number"),
        ("ListConfigurationSetsRequest", {"PageSize": 1.5}, "'pageSize' failed to satisfy constraint: Member must be "),
        ("ListTenantResourcesRequest", {"TenantName": "t", "Filter": {"RESOURCE_TYPE": "x"}}, None),
        ("ListTenantResourcesRequest", {"TenantName": "t", "Filter": {"NO": "x"}}, "'filter' failed to satisfy "),
        ("ListTenantResourcesRequest", {"TenantName": "t", "Filter": []}, "'filter' failed to satisfy constraint: "),
        ("SuppressedDestinationSummary", {"EmailAddress": "a", "Reason": "BOUNCE", "LastUpdateTime": 1.5}, None),
        ("SuppressedDestinationSummary", {"EmailAddress": "a", "Reason": "BOUNCE"}, "'lastUpdateTime' failed to "),
        ("SuppressedDestinationSummary", {"EmailAddress": "a", "Reason": "x", "LastUpdateTime": 1}, "'reason' failed "),
    ],
)
def test_values_are_checked_against_their_shape(shape: str, value: Any, said: str | None) -> None:
    found = violation(shape, value)

    assert found is None if said is None else (found is not None and found.startswith(said)), found


def test_paths_and_queries_become_parameters() -> None:
    operation, labels = MODEL.route("GET", "/v2/email/suppression/addresses/a%2Bb%40example.org")
    listing, none = MODEL.route("GET", "/v2/email/suppression/addresses")
    query = "Reason=BOUNCE&Reason=COMPLAINT&PageSize=10&StartDate=2026-01-01T00%3A00%3A00Z&EndDate=12.5"

    assert (operation.name, parse(operation, labels, "", b"")) == (
        "GetSuppressedDestination",
        {"EmailAddress": "a+b@example.org"},
    )
    assert (listing.name, parse(listing, none, query, b"")) == (
        "ListSuppressedDestinations",
        {"Reasons": ["BOUNCE", "COMPLAINT"], "PageSize": 10, "StartDate": "2026-01-01T00:00:00Z", "EndDate": 12.5},
    )


@pytest.mark.parametrize("query", ["PageSize=ten", "Sise=1"])
def test_queries_that_the_model_does_not_know_are_refused(query: str) -> None:
    operation, labels = MODEL.route("GET", "/v2/email/suppression/addresses")

    with pytest.raises(ServiceError) as caught:
        parse(operation, labels, query, b"")
    assert caught.value.code == "BadRequestException"


def test_a_date_that_is_none_is_refused(door: Door) -> None:
    status, answer = door.call("GET", "/v2/email/suppression/addresses?StartDate=yesterday")

    assert (status, answer["message"]) == (400, "'yesterday' is not a timestamp.")


def test_an_answer_that_breaks_the_model_never_leaves(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(api.OPERATIONS, "GetAccount", lambda call: {"SendQuota": "none"})

    status, answer = door.call("GET", "/v2/email/account")

    assert (status, answer["__type"]) == (500, "InternalServiceErrorException")
    assert "The answer is wrong" in answer["message"]


def test_a_failure_of_our_own_is_an_internal_error(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(call: object) -> dict[str, Any]:
        raise RuntimeError("broken")

    monkeypatch.setitem(api.OPERATIONS, "GetAccount", fail)

    status, answer = door.call("GET", "/v2/email/account")

    assert (status, answer["__type"]) == (500, "InternalServiceErrorException")
    assert "broken" not in json.dumps(answer)
