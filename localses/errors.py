"""Errors of the two services, in the words in which they travel."""

from __future__ import annotations


class ServiceError(Exception):
    """An error that a client is answered with.

    `code` is the name that SDKs turn into an exception class; `status` is the HTTP status of the service model.
    """

    def __init__(self, code: str, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def bad_request(message: str) -> ServiceError:
    """Make the error for input that the service model or a documented limit forbids."""
    return ServiceError("BadRequestException", message)


def not_found(message: str) -> ServiceError:
    """Make the error for a resource that doesn't exist."""
    return ServiceError("NotFoundException", message, status=404)


def already_exists(message: str) -> ServiceError:
    """Make the error for a resource that is created twice."""
    return ServiceError("AlreadyExistsException", message)
