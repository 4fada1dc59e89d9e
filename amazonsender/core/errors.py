"""Errors that a person can act on."""

from __future__ import annotations


class DomainError(Exception):
    """Something the product refuses. The message says what to do; nothing was changed."""


class NotFound(DomainError):
    """No such thing, or not for this organization: outsiders can't tell which."""


class Forbidden(DomainError):
    """The role doesn't allow it."""


class Conflict(DomainError):
    """Somebody else was faster, or the state no longer allows it. Look again."""


class InvalidInput(DomainError):
    """The input can't be used as it is."""
