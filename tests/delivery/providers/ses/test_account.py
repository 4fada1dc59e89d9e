"""Account and identities: what SES says about them, and what a failure to ask means."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from delivery.providers.base import (
    AccountStatus,
    AmbiguousError,
    IdentityStatus,
    PermanentError,
    ProviderError,
    TransientError,
)
from delivery.providers.ses import SesProvider, account
from tests.delivery.providers.ses.scripted_server import ScriptedServer, Step, answer, read_then_close

Script = Callable[..., ScriptedServer]
ProviderFor = Callable[..., SesProvider]

ACCOUNT = {
    "DedicatedIpAutoWarmupEnabled": True,
    "EnforcementStatus": "HEALTHY",
    "ProductionAccessEnabled": True,
    "SendQuota": {"Max24HourSend": 50000.0, "MaxSendRate": 14.0, "SentLast24Hours": 1234.0},
    "SendingEnabled": True,
}
NOT_FOUND = answer(404, {"message": "Email identity x does not exist."}, "x-amzn-ErrorType: NotFoundException\r\n")


def identity(*, verified: bool, status: str = "PENDING") -> Step:
    return answer(
        200,
        {
            "VerifiedForSendingStatus": verified,
            "VerificationStatus": "SUCCESS" if verified else "PENDING",
            "DkimAttributes": {"Status": "SUCCESS" if verified else status},
            "MailFromAttributes": {"MailFromDomain": "bounce.acme.test", "BehaviorOnMxFailure": "USE_DEFAULT_VALUE"},
        },
    )


def test_the_account_tells_quota_rate_and_standing(script: Script, provider_for: ProviderFor) -> None:
    server = script(answer(200, ACCOUNT))

    status = provider_for(server).account_status()

    assert status == AccountStatus(
        sending_enabled=True,
        production_access=True,
        enforcement_status="HEALTHY",
        max_24_hour_send=50000.0,
        max_send_rate=14.0,
        sent_last_24_hours=1234.0,
    )
    request = server.requests[0]
    assert (request.method, request.path, request.body) == ("GET", "/v2/email/account", b"")
    assert "content-type" not in request.headers
    assert "SignedHeaders=host;x-amz-date, " in request.headers["authorization"]


@pytest.mark.parametrize(
    ("step", "error", "message"),
    [
        (answer(200, {}), AmbiguousError, "SES's account answer lacks something: 'SendQuota'"),
        (answer(200, ACCOUNT | {"SendQuota": 3}), AmbiguousError, "SES's account answer lacks something"),
        (answer(200, []), AmbiguousError, "no JSON object"),
        (read_then_close, AmbiguousError, "SES did not answer: the connection was closed"),
        (answer(500, {"message": "Oops"}), AmbiguousError, "HTTP 500: Oops"),
        (
            answer(429, {"message": "Slow down"}, "x-amzn-ErrorType: TooManyRequestsException\r\n"),
            TransientError,
            "TooManyRequestsException: Slow down",
        ),
        (answer(409, {"__type": "ConflictException"}), TransientError, "ConflictException"),
        (
            answer(403, {"__type": "x#AccessDeniedException", "Message": "You may not"}),
            account.DeniedError,
            "AccessDeniedException: You may not. Allow the keys ses:GetAccount.",
        ),
        (answer(403, None, body=b"<html>"), PermanentError, "HTTP 403"),
    ],
)
def test_a_failed_question_is_one_of_three_errors(
    script: Script, provider_for: ProviderFor, step: Step, error: type[ProviderError], message: str
) -> None:
    with pytest.raises(error) as caught:
        provider_for(script(step)).account_status()

    assert type(caught.value) is error
    assert message in str(caught.value)


def test_an_unreachable_service_is_a_transient_error(provider_for: ProviderFor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(TransientError, match="SES cannot be reached: "):
        provider_for(f"http://127.0.0.1:{port}").account_status()


def test_a_verified_address_is_found_at_once(script: Script, provider_for: ProviderFor) -> None:
    server = script(identity(verified=True))

    status = provider_for(server).identity_status("o'neil+x@acme.test")

    assert status == IdentityStatus(
        "o'neil+x@acme.test",
        verified=True,
        dkim_status="SUCCESS",
        mail_from_domain="bounce.acme.test",
        detail="SUCCESS",
    )
    assert [request.path for request in server.requests] == ["/v2/email/identities/o%27neil%2Bx%40acme.test"]


def test_an_address_may_send_when_a_domain_above_it_is_verified(script: Script, provider_for: ProviderFor) -> None:
    server = script(NOT_FOUND, NOT_FOUND, identity(verified=True))

    status = provider_for(server).identity_status("news@mail.acme.test")

    assert (status.identity, status.verified) == ("acme.test", True)
    assert [request.path.rpartition("/")[2] for request in server.requests] == [
        "news%40mail.acme.test",
        "mail.acme.test",
        "acme.test",
    ]


def test_a_pending_address_is_told_when_no_domain_is_verified(script: Script, provider_for: ProviderFor) -> None:
    server = script(identity(verified=False, status="NOT_STARTED"), identity(verified=False, status="FAILED"))

    status = provider_for(server).identity_status("news@acme.test")

    assert status == IdentityStatus(
        "news@acme.test",
        verified=False,
        dkim_status="NOT_STARTED",
        mail_from_domain="bounce.acme.test",
        detail="PENDING",
    )


def test_an_identity_that_nobody_knows_is_not_verified(script: Script, provider_for: ProviderFor) -> None:
    server = script(NOT_FOUND)

    status = provider_for(server).identity_status("acme.test")

    assert status == IdentityStatus(
        "acme.test", verified=False, dkim_status="NOT_STARTED", mail_from_domain="", detail="NOT_FOUND"
    )
    assert len(server.requests) == 1


def test_a_question_about_an_identity_that_fails_is_not_taken_for_no(script: Script, provider_for: ProviderFor) -> None:
    with pytest.raises(PermanentError, match="AccessDeniedException"):
        provider_for(script(answer(403, {"__type": "AccessDeniedException"}))).identity_status("acme.test")


def test_a_single_label_domain_is_asked_for_itself() -> None:
    asked: list[str] = []

    def get(path: str) -> account.Json:
        asked.append(path)
        return {"VerifiedForSendingStatus": True}

    status = account.find_identity("localhost", get)

    assert status == IdentityStatus(
        "localhost", verified=True, dkim_status="NOT_STARTED", mail_from_domain="", detail=""
    )
    assert asked == ["/v2/email/identities/localhost"]
