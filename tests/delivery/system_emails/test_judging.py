"""What each exception of a backend means. What is not listed as certain is not certain."""

from __future__ import annotations

import smtplib
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ProfileNotFound,
    ReadTimeoutError,
)

from delivery.providers.base import Outcome
from delivery.services.system_emails.judging import judge_opening, judge_sending

RETRY, REJECTED, AMBIGUOUS = Outcome.RETRY, Outcome.REJECTED, Outcome.AMBIGUOUS


def amazon(status: int, code: str, text: str = "") -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": text}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "SendEmail")


@pytest.mark.parametrize(
    ("error", "outcome", "code", "is_about_the_way"),
    [
        (amazon(429, "TooManyRequestsException", "Maximum sending rate exceeded."), RETRY, "throttled", True),
        (amazon(400, "LimitExceededException"), RETRY, "quota_exceeded", True),
        (amazon(403, "AccessDeniedException"), RETRY, "credentials", True),
        (amazon(400, "SendingPausedException"), RETRY, "sending_paused", True),
        (
            amazon(400, "MessageRejected", "Email address is not verified. … in region X: hello@acme.example"),
            RETRY,
            "sender_not_verified",
            True,
        ),
        (amazon(400, "MessageRejected", "Message contents are not acceptable."), REJECTED, "message_rejected", False),
        (amazon(500, "InternalServiceErrorException"), AMBIGUOUS, "server_error", True),
        (EndpointConnectionError(endpoint_url="x"), RETRY, "unreachable", True),
        (ConnectTimeoutError(endpoint_url="x"), RETRY, "unreachable", True),
        (ReadTimeoutError(endpoint_url="x"), AMBIGUOUS, "answer_lost", True),
        (NoCredentialsError(), RETRY, "credentials", True),
        (ParamValidationError(report="x"), REJECTED, "bad_request", False),
        (ProfileNotFound(profile="x"), RETRY, "settings", True),
        (smtplib.SMTPSenderRefused(550, b"5.7.1 not allowed", "a"), RETRY, "sender_refused", True),
        (smtplib.SMTPRecipientsRefused({"a": (550, b"5.1.1 No such user")}), REJECTED, "refused", False),
        (smtplib.SMTPRecipientsRefused({"a": (451, b"4.7.1 Greylisted")}), RETRY, "refused_for_now", False),
        (smtplib.SMTPDataError(554, "5.6.0 Content"), REJECTED, "refused", False),
        (smtplib.SMTPNotSupportedError("SMTPUTF8"), REJECTED, "bad_request", False),
        (smtplib.SMTPServerDisconnected("closed"), AMBIGUOUS, "answer_lost", True),
        (TimeoutError("timed out"), AMBIGUOUS, "answer_lost", True),
        (RuntimeError(), AMBIGUOUS, "answer_lost", True),
    ],
)
def test_while_sending(error: Exception, outcome: Outcome, code: str, is_about_the_way: bool) -> None:
    judgement = judge_sending(error, sender="hello@acme.example")

    assert (judgement.verdict.outcome, judgement.verdict.code) == (outcome, code)
    assert judgement.is_about_the_way is is_about_the_way
    assert judgement.reason.startswith(f"{code}: ")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (smtplib.SMTPAuthenticationError(535, b"5.7.8 Wrong"), "credentials"),
        (smtplib.SMTPConnectError(554, b"No service"), "unreachable"),
        (smtplib.SMTPNotSupportedError("STARTTLS"), "unreachable"),
        (ConnectionRefusedError("refused"), "unreachable"),
        (RuntimeError(), "unreachable"),
        (ProfileNotFound(profile="x"), "settings"),
    ],
)
def test_while_connecting_nothing_was_handed_over(error: Exception, code: str) -> None:
    judgement = judge_opening(error)

    assert (judgement.verdict.outcome, judgement.verdict.code) == (RETRY, code)
    assert judgement.is_about_the_way
