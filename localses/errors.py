"""Errors of the two services, in the words in which they travel."""

from __future__ import annotations

RATE_EXCEEDED = "Maximum sending rate exceeded."
QUOTA_EXCEEDED = "Daily message quota exceeded."
INTERNAL = "InternalServiceErrorException"

# What SendEmail and SendBulkEmail may be answered with, and what every AWS service may answer: HTTP status and text.
# https://docs.aws.amazon.com/ses/latest/APIReference-V2/CommonErrors.html
EXCEPTIONS: dict[str, tuple[int, str]] = {
    "AccountSuspendedException": (400, "The account's ability to send email has been suspended."),
    "BadRequestException": (400, "The input you provided is invalid."),
    "LimitExceededException": (400, QUOTA_EXCEEDED),
    "MailFromDomainNotVerifiedException": (400, "The MAIL FROM domain is not verified."),
    "MessageRejected": (400, "Message contents are not acceptable."),
    "NotFoundException": (404, "The resource you attempted to access doesn't exist."),
    "SendingPausedException": (400, "Sending is paused for this account."),
    "TooManyRequestsException": (429, RATE_EXCEEDED),
    "AccessDeniedException": (403, "You are not authorized to perform this operation."),
    "ExpiredTokenException": (403, "The security token included in the request is expired."),
    "IncompleteSignatureException": (400, "The request signature does not conform to AWS standards."),
    "InvalidSignatureException": (403, "The request signature does not match the signature you provided."),
    "MissingAuthenticationTokenException": (403, "Missing Authentication Token"),
    "OptInRequired": (403, "The AWS access key ID needs a subscription for the service."),
    "RequestExpired": (400, "The request reached the service more than 15 minutes after its date stamp."),
    "ThrottlingException": (400, "Rate exceeded"),
    "UnrecognizedClientException": (403, "The security token included in the request is invalid."),
    "ValidationException": (400, "The input fails to satisfy the constraints of the service."),
}


class ServiceError(Exception):
    """An error that a client is answered with.

    `code` is the name that SDKs turn into an exception class, "" for an answer of something before the service;
    `status` is the HTTP status of the service model.
    """

    def __init__(self, code: str, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def exception(code: str, message: str = "") -> ServiceError:
    """Make one of the documented exceptions, in its usual words unless others are given."""
    status, usual = EXCEPTIONS[code]
    return ServiceError(code, message or usual, status=status)


def server_error(status: int = 500) -> ServiceError:
    """Make the service's own error for 500 and 503; 502 and 504 come from what stands before it and name no type."""
    codes = {500: (INTERNAL, "Internal failure."), 503: ("ServiceUnavailableException", "Service unavailable.")}
    code, message = codes.get(status, ("", "Bad gateway" if status == 502 else "Gateway timeout"))
    return ServiceError(code, message, status=status)


def bad_request(message: str) -> ServiceError:
    """Make the error for input that the service model or a documented limit forbids."""
    return ServiceError("BadRequestException", message)


def not_found(message: str) -> ServiceError:
    """Make the error for a resource that doesn't exist."""
    return ServiceError("NotFoundException", message, status=404)


def already_exists(message: str) -> ServiceError:
    """Make the error for a resource that is created twice."""
    return ServiceError("AlreadyExistsException", message)
