"""What each documented status and exception of SES means; botocore's model says which there are."""

from __future__ import annotations

import botocore.session
import pytest

from delivery.providers import verdicts
from delivery.providers.base import Outcome, Signal
from delivery.providers.ses import mapping

SENDER = "news@acme.test"

STATUSES = [
    ("SUCCESS", Outcome.ACCEPTED, None),
    ("MESSAGE_REJECTED", Outcome.REJECTED, None),
    ("MAIL_FROM_DOMAIN_NOT_VERIFIED", Outcome.RETRY, Signal.SENDER_NOT_VERIFIED),
    ("CONFIGURATION_SET_NOT_FOUND", Outcome.RETRY, Signal.MISCONFIGURED),
    ("TEMPLATE_NOT_FOUND", Outcome.RETRY, Signal.MISCONFIGURED),
    ("ACCOUNT_SUSPENDED", Outcome.RETRY, Signal.ACCOUNT_SUSPENDED),
    ("ACCOUNT_THROTTLED", Outcome.RETRY, Signal.THROTTLED),
    ("ACCOUNT_DAILY_QUOTA_EXCEEDED", Outcome.RETRY, Signal.QUOTA_EXCEEDED),
    ("INVALID_SENDING_POOL_NAME", Outcome.RETRY, Signal.MISCONFIGURED),
    ("ACCOUNT_SENDING_PAUSED", Outcome.RETRY, Signal.ACCOUNT_PAUSED),
    ("CONFIGURATION_SET_SENDING_PAUSED", Outcome.RETRY, Signal.ACCOUNT_PAUSED),
    ("INVALID_PARAMETER", Outcome.REJECTED, None),
    ("TRANSIENT_FAILURE", Outcome.RETRY, None),
    ("FAILED", Outcome.RETRY, None),
    ("CONFIGURATION_SET_DOES_NOT_EXIST", Outcome.RETRY, Signal.MISCONFIGURED),
    ("TEMPLATE_DOES_NOT_EXIST", Outcome.RETRY, Signal.MISCONFIGURED),
    ("INVALID_SENDING_POOL", Outcome.RETRY, Signal.MISCONFIGURED),
    ("INVALID_PARAMETER_VALUE", Outcome.REJECTED, None),
    ("A_STATUS_OF_TOMORROW", Outcome.AMBIGUOUS, None),
    ("", Outcome.AMBIGUOUS, None),
]

# HTTP status, error type, message, then the meaning for a call with one entry.
REFUSALS = [
    (429, "TooManyRequestsException", "Maximum sending rate exceeded.", Outcome.RETRY, Signal.THROTTLED),
    (400, "ThrottlingException", "Rate exceeded", Outcome.RETRY, Signal.THROTTLED),
    (400, "Throttling", "Maximum sending rate exceeded.", Outcome.RETRY, Signal.THROTTLED),
    (400, "Throttling", "Daily message quota exceeded.", Outcome.RETRY, Signal.QUOTA_EXCEEDED),
    (400, "LimitExceededException", "Daily message quota exceeded.", Outcome.RETRY, Signal.QUOTA_EXCEEDED),
    (400, "LimitExceededException", "", Outcome.RETRY, Signal.QUOTA_EXCEEDED),
    (400, "LimitExceededException", "Maximum sending rate exceeded.", Outcome.RETRY, Signal.THROTTLED),
    (400, "AccountSuspendedException", "Suspended", Outcome.RETRY, Signal.ACCOUNT_SUSPENDED),
    (400, "SendingPausedException", "Sending is paused for this account.", Outcome.RETRY, Signal.ACCOUNT_PAUSED),
    (400, "MailFromDomainNotVerifiedException", "", Outcome.RETRY, Signal.SENDER_NOT_VERIFIED),
    (400, "MessageRejected", "Bad content", Outcome.REJECTED, None),
    (400, "MessageRejected", "Email address is not verified.", Outcome.RETRY, Signal.SENDER_NOT_VERIFIED),
    (404, "NotFoundException", "Configuration set <x> does not exist.", Outcome.RETRY, Signal.MISCONFIGURED),
    (400, "BadRequestException", "Configuration set x does not exist.", Outcome.RETRY, Signal.MISCONFIGURED),
    (400, "BadRequestException", "Missing final '@domain'", Outcome.REJECTED, None),
    (400, "ValidationException", "1 validation error detected", Outcome.REJECTED, None),
    (400, "SerializationException", "", Outcome.REJECTED, None),
    (409, "ConflictException", "", Outcome.RETRY, None),
    (403, "AccessDeniedException", "User is not authorized", Outcome.RETRY, Signal.MISCONFIGURED),
    (403, "InvalidSignatureException", "Signature expired: 1 is now earlier", Outcome.RETRY, Signal.MISCONFIGURED),
    (403, "InvalidSignatureException", "does not match", Outcome.RETRY, Signal.MISCONFIGURED),
    (403, "ExpiredTokenException", "The security token is expired", Outcome.RETRY, Signal.MISCONFIGURED),
    (403, "UnrecognizedClientException", "The security token is invalid", Outcome.RETRY, Signal.MISCONFIGURED),
    (403, "RequestTimeTooSkewed", "", Outcome.RETRY, Signal.MISCONFIGURED),
    (400, "IncompleteSignature", "", Outcome.RETRY, Signal.MISCONFIGURED),
    (401, "", "", Outcome.RETRY, Signal.MISCONFIGURED),
    (403, "", "", Outcome.RETRY, Signal.MISCONFIGURED),
    (404, "", "", Outcome.RETRY, Signal.MISCONFIGURED),
    (404, "UnknownOperationException", "", Outcome.RETRY, Signal.MISCONFIGURED),
    (301, "", "", Outcome.RETRY, Signal.MISCONFIGURED),
    (308, "", "", Outcome.RETRY, Signal.MISCONFIGURED),
    (429, "", "", Outcome.RETRY, Signal.THROTTLED),
    (400, "", "", Outcome.REJECTED, None),
    (418, "TeapotException", "", Outcome.REJECTED, None),
    (413, "", "", Outcome.REJECTED, None),
    (408, "", "", Outcome.AMBIGUOUS, None),
    (400, "InternalFailure", "", Outcome.AMBIGUOUS, None),
    (202, "", "", Outcome.AMBIGUOUS, None),
    (304, "", "", Outcome.AMBIGUOUS, None),
    (500, "InternalServiceErrorException", "", Outcome.AMBIGUOUS, None),
    (503, "ServiceUnavailable", "", Outcome.AMBIGUOUS, None),
    (503, "TooManyRequestsException", "Maximum sending rate exceeded.", Outcome.AMBIGUOUS, None),
]


@pytest.mark.parametrize(("status", "outcome", "signal"), STATUSES)
def test_a_bulk_status_has_one_meaning(status: str, outcome: Outcome, signal: Signal | None) -> None:
    verdict = mapping.judge_status(status, "", SENDER)

    assert (verdict.outcome, verdict.signal) == (outcome, signal)


def test_every_bulk_status_of_the_model_is_in_the_tables() -> None:
    model = botocore.session.get_session().get_service_model("sesv2")

    documented = set(model.shape_for("BulkEmailStatus").metadata["enum"])

    assert documented <= set(mapping.STATUSES)
    assert documented <= {status for status, _, _ in STATUSES}


@pytest.mark.parametrize(("http_status", "error_type", "text", "outcome", "signal"), REFUSALS)
def test_a_refused_call_has_one_meaning(
    http_status: int, error_type: str, text: str, outcome: Outcome, signal: Signal | None
) -> None:
    verdict = mapping.judge_refusal(http_status, error_type, text, entries=1, sender=SENDER)

    assert (verdict.outcome, verdict.signal) == (outcome, signal)


@pytest.mark.parametrize("operation", ["SendEmail", "SendBulkEmail"])
def test_every_exception_of_the_model_is_in_the_tables(operation: str) -> None:
    model = botocore.session.get_session().get_service_model("sesv2")

    documented = {shape.name for shape in model.operation_model(operation).error_shapes}

    assert documented <= set(mapping.EXCEPTIONS)
    assert documented <= {error_type for _, error_type, *_ in REFUSALS}


@pytest.mark.parametrize(
    ("error_type", "text"), [("BadRequestException", "Illegal address"), ("MessageRejected", "Bad content"), ("", "")]
)
def test_a_bulk_call_refused_for_one_entry_is_tried_again_entry_by_entry(error_type: str, text: str) -> None:
    verdict = mapping.judge_refusal(400, error_type, text, entries=2, sender=SENDER)

    assert (verdict.outcome, verdict.signal, verdict.code) == (Outcome.RETRY, None, "bad_request")


def test_a_failed_entry_with_a_reason_of_the_account_signals_it() -> None:
    throttled = mapping.judge_status("FAILED", "Maximum sending rate exceeded.", SENDER)
    quota = mapping.judge_status("TRANSIENT_FAILURE", "Daily message quota exceeded", SENDER)

    assert (throttled.outcome, throttled.signal) == (Outcome.RETRY, Signal.THROTTLED)
    assert (quota.outcome, quota.signal) == (Outcome.RETRY, Signal.QUOTA_EXCEEDED)


@pytest.mark.parametrize(
    ("identities", "outcome", "code"),
    [
        ("news@acme.test", Outcome.RETRY, "sender_not_verified"),
        ("ann@example.com, Acme <NEWS@ACME.TEST>", Outcome.RETRY, "sender_not_verified"),
        ("acme.test", Outcome.RETRY, "sender_not_verified"),
        ("arn:aws:ses:eu-central-1:1:identity/acme.test", Outcome.RETRY, "sender_not_verified"),
        ("ann@example.com", Outcome.REJECTED, "recipient_not_verified"),
        ("othernews@acme.test", Outcome.REJECTED, "recipient_not_verified"),
    ],
)
def test_in_the_sandbox_an_unverified_recipient_is_not_the_senders_fault(
    identities: str, outcome: Outcome, code: str
) -> None:
    text = (
        f"Email address is not verified. The following identities failed the check in region EU-CENTRAL-1: {identities}"
    )

    of_call = mapping.judge_refusal(400, "MessageRejected", text, entries=1, sender=SENDER)
    of_entry = mapping.judge_status("MESSAGE_REJECTED", text, SENDER)

    assert (of_call.outcome, of_call.code) == (outcome, code)
    assert (of_entry.outcome, of_entry.code) == (outcome, code)


def test_without_a_known_sender_nobody_else_is_blamed() -> None:
    text = "Email address is not verified. The following identities failed the check in region X: ann@example.com"

    verdict = mapping.judge_refusal(400, "MessageRejected", text, entries=1, sender="")

    assert verdict is verdicts.SENDER_NOT_VERIFIED


@pytest.mark.parametrize(
    ("header", "body_type", "name"),
    [
        ("MessageRejected", "", "MessageRejected"),
        ("MessageRejected:http://internal.amazon.com/coral/com.amazonaws.ses/", "", "MessageRejected"),
        ("", "com.amazonaws.ses.v2#MessageRejected", "MessageRejected"),
        ("", "aws#BadRequestException:http://x#y", "BadRequestException"),
        ("NotFoundException", "Other", "NotFoundException"),
        ("", "", ""),
    ],
)
def test_an_error_type_is_found_in_header_and_body(header: str, body_type: str, name: str) -> None:
    assert mapping.error_type_of(header, body_type) == name


def test_an_error_is_one_short_line() -> None:
    assert verdicts.describe(verdicts.THROTTLED, "a\n  b\t c ") == "throttled: a b c"
    assert verdicts.describe(verdicts.THROTTLED, " ") == "throttled"
    assert verdicts.describe(verdicts.THROTTLED, "x" * 1000) == "throttled: " + "x" * 300


def test_the_signal_that_needs_a_person_most_is_heard_first() -> None:
    assert verdicts.heaviest([Signal.THROTTLED, Signal.QUOTA_EXCEEDED, Signal.ACCOUNT_SUSPENDED]) is (
        Signal.ACCOUNT_SUSPENDED
    )
    assert verdicts.heaviest([]) is None
    assert set(verdicts.SIGNALS_BY_WEIGHT) == set(Signal)
