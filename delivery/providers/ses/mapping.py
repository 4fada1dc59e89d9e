"""What SES's answers mean: accepted, definitely not accepted, or ambiguous, and what they say about the account.

Two vocabularies: exceptions of a whole call (HTTP status and error type) and statuses of single bulk entries.
Both are tables, so that the next status is one line. What is in neither table is judged by its HTTP class, and an
entry's unknown status is ambiguous: only a documented refusal may be tried again by a machine.
"""

from __future__ import annotations

import re

from delivery.providers.base import Outcome, Signal
from delivery.providers.verdicts import (
    ACCOUNT_PAUSED,
    ACCOUNT_SUSPENDED,
    BAD_CALL,
    BAD_REQUEST,
    CONFLICT,
    CREDENTIALS,
    FAILED,
    MALFORMED,
    QUOTA_EXCEEDED,
    SENDER_NOT_VERIFIED,
    SERVER_ERROR,
    THROTTLED,
    UNKNOWN_STATUS,
    Verdict,
)

RECIPIENT_NOT_VERIFIED = Verdict(Outcome.REJECTED, None, "recipient_not_verified")
NOT_FOUND = Verdict(Outcome.RETRY, Signal.MISCONFIGURED, "not_found")
CLOCK = Verdict(Outcome.RETRY, Signal.MISCONFIGURED, "clock")
ENDPOINT = Verdict(Outcome.RETRY, Signal.MISCONFIGURED, "endpoint")
MESSAGE_REJECTED = Verdict(Outcome.REJECTED, None, "message_rejected")
INVALID_PARAMETER = Verdict(Outcome.REJECTED, None, "invalid_parameter")
TRANSIENT = Verdict(Outcome.RETRY, None, "transient_failure")

# BulkEmailEntryResult.Status. The enumeration of the API comes first; the guide and the first version of the API
# spell some of them differently, and what the service really sends was seen in both spellings.
STATUSES: dict[str, Verdict] = {
    "SUCCESS": Verdict(Outcome.ACCEPTED, None, ""),
    "MESSAGE_REJECTED": MESSAGE_REJECTED,
    "MAIL_FROM_DOMAIN_NOT_VERIFIED": SENDER_NOT_VERIFIED,
    "CONFIGURATION_SET_NOT_FOUND": NOT_FOUND,
    "TEMPLATE_NOT_FOUND": NOT_FOUND,
    "ACCOUNT_SUSPENDED": ACCOUNT_SUSPENDED,
    "ACCOUNT_THROTTLED": THROTTLED,
    "ACCOUNT_DAILY_QUOTA_EXCEEDED": QUOTA_EXCEEDED,
    "INVALID_SENDING_POOL_NAME": NOT_FOUND,
    "ACCOUNT_SENDING_PAUSED": ACCOUNT_PAUSED,
    "CONFIGURATION_SET_SENDING_PAUSED": ACCOUNT_PAUSED,
    "INVALID_PARAMETER": INVALID_PARAMETER,
    "TRANSIENT_FAILURE": TRANSIENT,
    "FAILED": FAILED,
    "CONFIGURATION_SET_DOES_NOT_EXIST": NOT_FOUND,
    "TEMPLATE_DOES_NOT_EXIST": NOT_FOUND,
    "INVALID_SENDING_POOL": NOT_FOUND,
    "INVALID_PARAMETER_VALUE": INVALID_PARAMETER,
}

# Error types of a whole call, of SES and those that every AWS service shares:
# https://docs.aws.amazon.com/ses/latest/APIReference-V2/CommonErrors.html
EXCEPTIONS: dict[str, Verdict] = {
    "TooManyRequestsException": THROTTLED,
    "ThrottlingException": THROTTLED,
    "Throttling": THROTTLED,
    "RequestLimitExceeded": THROTTLED,
    "LimitExceededException": QUOTA_EXCEEDED,
    "AccountSuspendedException": ACCOUNT_SUSPENDED,
    "SendingPausedException": ACCOUNT_PAUSED,
    "MailFromDomainNotVerifiedException": SENDER_NOT_VERIFIED,
    "MessageRejected": MESSAGE_REJECTED,
    "BadRequestException": BAD_REQUEST,
    "ValidationException": BAD_REQUEST,
    "ValidationError": BAD_REQUEST,
    "SerializationException": BAD_REQUEST,
    "RequestEntityTooLarge": BAD_REQUEST,
    "NotFoundException": NOT_FOUND,
    "ConflictException": CONFLICT,
    "ConcurrentModificationException": CONFLICT,
    "AccessDeniedException": CREDENTIALS,
    "AccessDenied": CREDENTIALS,
    "NotAuthorized": CREDENTIALS,
    "OptInRequired": CREDENTIALS,
    "UnrecognizedClientException": CREDENTIALS,
    "InvalidClientTokenId": CREDENTIALS,
    "InvalidClientTokenIdException": CREDENTIALS,
    "MissingAuthenticationToken": CREDENTIALS,
    "MissingAuthenticationTokenException": CREDENTIALS,
    "IncompleteSignature": CREDENTIALS,
    "IncompleteSignatureException": CREDENTIALS,
    "InvalidSignatureException": CREDENTIALS,
    "SignatureDoesNotMatch": CREDENTIALS,
    "ExpiredToken": CREDENTIALS,
    "ExpiredTokenException": CREDENTIALS,
    "RequestExpired": CLOCK,
    "RequestTimeTooSkewed": CLOCK,
    "UnknownOperationException": ENDPOINT,
    "InternalServiceErrorException": SERVER_ERROR,
    "InternalServiceError": SERVER_ERROR,
    "InternalServerException": SERVER_ERROR,
    "InternalFailure": SERVER_ERROR,
    "ServiceUnavailable": SERVER_ERROR,
    "ServiceUnavailableException": SERVER_ERROR,
    "RequestTimeoutException": SERVER_ERROR,
}

# HTTP statuses without an error type that we know: a proxy, a load balancer, a wrong address.
HTTP_STATUSES: dict[int, Verdict] = {
    301: ENDPOINT,
    302: ENDPOINT,
    307: ENDPOINT,
    308: ENDPOINT,
    401: CREDENTIALS,
    403: CREDENTIALS,
    404: ENDPOINT,
    405: ENDPOINT,
    407: ENDPOINT,
    408: SERVER_ERROR,  # the whole request was handed over, so somebody between us and SES may have passed it on
    409: CONFLICT,
    413: BAD_REQUEST,
    421: ENDPOINT,
    429: THROTTLED,
}

# Message texts that say more than the type they come with: SES has used several types for one refusal.
# https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-errors.html
MEANINGS_OF_TEXT: tuple[tuple[re.Pattern[str], Verdict], ...] = (
    (re.compile(r"daily (?:message|sending) quota exceeded", re.IGNORECASE), QUOTA_EXCEEDED),
    (re.compile(r"maximum sending rate exceeded|rate exceeded|too many requests", re.IGNORECASE), THROTTLED),
    (re.compile(r"configuration set\b.*\bdoes not exist", re.IGNORECASE), NOT_FOUND),
    (re.compile(r"\bsignature (?:expired|not yet current)", re.IGNORECASE), CLOCK),
)
NOT_VERIFIED = re.compile(r"\bnot verified\b", re.IGNORECASE)
FAILED_IDENTITIES = re.compile(r"failed the check in region [^:]+:\s*(.+)$", re.IGNORECASE | re.DOTALL)


def judge_status(status: str, text: str, sender: str) -> Verdict:
    """Judge one entry of a bulk answer. `sender` is the bare address of the call."""
    verdict = STATUSES.get(status, UNKNOWN_STATUS)
    if verdict.outcome is Outcome.ACCEPTED or verdict.outcome is Outcome.AMBIGUOUS:
        return verdict
    return _meaning_of_text(text, sender) or verdict if verdict.signal is None else verdict


def judge_refusal(http_status: int, error_type: str, text: str, *, entries: int, sender: str) -> Verdict:
    """Judge an answer other than 200 to a call with so many entries.

    Any 5xx is ambiguous whatever type it carries: nobody documents that SES never accepts before it fails.
    """
    if http_status >= 500:
        return SERVER_ERROR
    verdict = EXCEPTIONS.get(error_type) or HTTP_STATUSES.get(http_status)
    if verdict is None:
        verdict = BAD_REQUEST if 400 <= http_status < 500 else MALFORMED
    if verdict.outcome is Outcome.AMBIGUOUS:
        return verdict
    verdict = _meaning_of_text(text, sender) or verdict
    if verdict.outcome is Outcome.REJECTED and entries > 1:
        return BAD_CALL
    return verdict


def error_type_of(header: str, body_type: str) -> str:
    """Bare error name: the header says `Name:http://…`, the body `namespace#Name`; either may be missing."""
    return (header or body_type).split(":", 1)[0].rsplit("#", 1)[-1].strip()


def _meaning_of_text(text: str, sender: str) -> Verdict | None:
    for pattern, verdict in MEANINGS_OF_TEXT:
        if pattern.search(text):
            return verdict
    return _who_is_not_verified(text, sender) if NOT_VERIFIED.search(text) else None


def _who_is_not_verified(text: str, sender: str) -> Verdict:
    # In Amazon's sandbox recipients must be verified too, and SES uses the same words for both.
    failed = FAILED_IDENTITIES.search(text)
    if failed is None or not sender:
        return SENDER_NOT_VERIFIED
    sender = sender.lower()
    domain = sender.rpartition("@")[2]
    for identity in re.split(r"[,\s<>]+", failed.group(1).lower()):
        if identity.rpartition("/")[2] in (sender, domain):
            return SENDER_NOT_VERIFIED
    return RECIPIENT_NOT_VERIFIED
