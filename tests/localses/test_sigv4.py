from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from localses.errors import ServiceError
from localses.sigv4 import SignedRequest, verify
from tests.localses.conftest import signed

NOW = 1_800_000_000.0


def check(request: SignedRequest, *, at: float = NOW, service: str = "ses") -> str:
    now = datetime.fromtimestamp(at, UTC)
    return verify(request, access_key="localses", secret_key="localses-secret", service=service, now=now)


@pytest.mark.parametrize(
    "url",
    [
        "/v2/email/account",
        "/v2/email/suppression/addresses/ana%2Bnews%40example.com",
        "/v2/email/suppression/addresses?Reason=BOUNCE&PageSize=10&NextToken=a%3D%3D",
        "/v2/email/identities/m%C3%BCnchen.example",
        "/",
    ],
)
def test_what_botocore_signs_is_accepted(url: str) -> None:
    request = signed("POST", url, b'{"a": 1}', at=NOW, region="eu-central-1")

    assert check(request) == "eu-central-1"


@pytest.mark.parametrize(
    "change",
    [
        {"body": b'{"a": 2}'},
        {"method": "PUT"},
        {"path": "/v2/email/other"},
        {"query": "PageSize=11"},
    ],
)
def test_a_request_changed_on_the_way_is_refused(change: dict[str, object]) -> None:
    request = signed("POST", "/v2/email/account?PageSize=10", b'{"a": 1}', at=NOW)

    with pytest.raises(ServiceError) as caught:
        check(replace(request, **change))  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.status) == ("InvalidSignatureException", 403)
    assert "does not match" in caught.value.message


@pytest.mark.parametrize(("later", "accepted"), [(899, True), (900, True), (901, False), (-900, True), (-901, False)])
def test_a_signature_counts_for_fifteen_minutes(later: int, accepted: bool) -> None:
    request = signed("GET", "/v2/email/account", at=NOW)

    if accepted:
        assert check(request, at=NOW + later) == "us-east-1"
    else:
        with pytest.raises(ServiceError, match=r"Signature expired|not yet current") as caught:
            check(request, at=NOW + later)
        assert (caught.value.code, caught.value.status) == ("InvalidSignatureException", 403)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (signed("GET", "/", at=NOW, key="somebody"), "UnrecognizedClientException"),
        (signed("GET", "/", at=NOW, secret="wrong"), "InvalidSignatureException"),
        (signed("GET", "/", at=NOW, service="s3"), "InvalidSignatureException"),
        (SignedRequest("GET", "/", "", {"host": "x"}, b""), "MissingAuthenticationTokenException"),
        (SignedRequest("GET", "/", "", {"authorization": "Bearer x"}, b""), "IncompleteSignatureException"),
    ],
)
def test_credentials_that_are_not_ours_are_refused(request_: SignedRequest, code: str) -> None:
    with pytest.raises(ServiceError) as caught:
        check(request_)
    assert (caught.value.code, caught.value.status) == (code, 403)


def test_a_request_without_a_readable_date_is_refused() -> None:
    request = signed("GET", "/", at=NOW)

    with pytest.raises(ServiceError) as caught:
        check(replace(request, headers={**request.headers, "x-amz-date": "yesterday"}))
    assert caught.value.code == "IncompleteSignatureException"


def test_a_date_that_differs_from_its_scope_is_refused() -> None:
    request = signed("GET", "/", at=NOW)
    moved = {**request.headers, "authorization": request.headers["authorization"].replace("/20270115/", "/20270114/")}
    assert moved["authorization"] != request.headers["authorization"]

    with pytest.raises(ServiceError, match="Date in Credential scope"):
        check(replace(request, headers=moved))
