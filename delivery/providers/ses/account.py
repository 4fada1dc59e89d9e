"""Reading answers of SES's account operations, and their failures as the three errors of every provider."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import orjson

from delivery.providers import verdicts
from delivery.providers.base import (
    AccountStatus,
    AmbiguousError,
    IdentityStatus,
    Outcome,
    PermanentError,
    ProviderError,
    TransientError,
)
from delivery.providers.ses import mapping
from delivery.providers.ses.answers import Answer

ACCOUNT_PATH = "/v2/email/account"
IDENTITY_PATH = "/v2/email/identities/"

Json = dict[str, Any]


# What SES and SNS call it when a policy does not let the keys do something; unlike wrong keys, which may do nothing.
DENIED = frozenset({"AccessDeniedException", "AccessDenied", "NotAuthorized", "AuthorizationError"})


class NotFoundError(PermanentError):
    """SES does not know the thing that was asked for."""


class DeniedError(PermanentError):
    """The keys may not do it. action: what IAM has to allow, such as ses:GetAccount."""

    def __init__(self, text: str, action: str) -> None:
        super().__init__(f"{text.rstrip('. ')}. Allow the keys {action}.")
        self.action = action


def parse_object(body: bytes) -> Json | None:
    """A JSON object, or None for anything else."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def error_of(answer: Answer) -> tuple[str, str]:
    """Error type and message of a refusal, each "" when not given."""
    document = parse_object(answer.body) or {}
    body_type = document.get("__type") or document.get("code") or ""
    text = document.get("message") or document.get("Message") or ""
    return mapping.error_type_of(answer.error_type, str(body_type)), str(text)


def not_handed_over(reason: str) -> ProviderError:
    """Error for a request that never left."""
    return TransientError(f"SES cannot be reached: {reason}")


def answer_lost(reason: str) -> ProviderError:
    """Error for a request whose answer never came."""
    return AmbiguousError(f"SES did not answer: {reason}")


def refused_here(reason: str) -> ProviderError:
    """Error for a request that was not made, because its parameters or credentials cannot be used."""
    return PermanentError(reason)


def error_for(http_status: int, error_type: str, text: str, action: str = "") -> ProviderError:
    """Error for a refusal by SES or SNS. action: IAM's name of what was asked."""
    verdict = mapping.judge_refusal(http_status, error_type, text, entries=1, sender="")
    text = f"{error_type or f'HTTP {http_status}'}: {text}" if text else error_type or f"HTTP {http_status}"
    if verdict.outcome is Outcome.AMBIGUOUS:
        return AmbiguousError(text)
    if verdict in (verdicts.THROTTLED, verdicts.CONFLICT):
        return TransientError(text)
    if http_status == HTTPStatus.NOT_FOUND and error_type.startswith("NotFound"):
        return NotFoundError(text)
    if action and error_type in DENIED:
        return DeniedError(text, action)
    return PermanentError(text)


def read_answer(answer: Answer, action: str = "") -> Json:
    """Document of an account operation. action: IAM's name of what was asked. Raises ProviderError."""
    if answer.status != HTTPStatus.OK:
        raise error_for(answer.status, *error_of(answer), action)
    document = parse_object(answer.body)
    if document is None:
        raise AmbiguousError("SES answered with something that is no JSON object")
    return document


def parse_account(document: Json) -> AccountStatus:
    """GetAccount's answer. Raises AmbiguousError when it is not one."""
    try:
        quota = document["SendQuota"]
        return AccountStatus(
            sending_enabled=bool(document["SendingEnabled"]),
            production_access=bool(document["ProductionAccessEnabled"]),
            enforcement_status=str(document["EnforcementStatus"]),
            max_24_hour_send=float(quota["Max24HourSend"]),
            max_send_rate=float(quota["MaxSendRate"]),
            sent_last_24_hours=float(quota["SentLast24Hours"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise AmbiguousError(f"SES's account answer lacks something: {error}") from error


def parse_identity(identity: str, document: Json) -> IdentityStatus:
    """GetEmailIdentity's answer."""
    dkim = document.get("DkimAttributes") or {}
    mail_from = document.get("MailFromAttributes") or {}
    return IdentityStatus(
        identity=identity,
        verified=bool(document.get("VerifiedForSendingStatus")),
        dkim_status=str(dkim.get("Status") or "NOT_STARTED"),
        mail_from_domain=str(mail_from.get("MailFromDomain") or ""),
        detail=str(document.get("VerificationStatus") or ""),
    )


def find_identity(identity: str, get: Callable[[str], Json]) -> IdentityStatus:
    """Look for the identity and then for the domains above it, since a verified domain covers them.

    Returns the first verified one, else the most specific that exists, else an unverified status of the identity.
    https://docs.aws.amazon.com/ses/latest/dg/creating-identities.html
    """
    found: IdentityStatus | None = None
    for name in _identity_and_domains_above(identity):
        try:
            status = parse_identity(name, get(IDENTITY_PATH + quote(name, safe="")))
        except NotFoundError:
            continue
        if status.verified:
            return status
        found = found or status
    return found or parse_identity(identity, {"VerificationStatus": "NOT_FOUND"})


def _identity_and_domains_above(identity: str) -> list[str]:
    domain = identity.rpartition("@")[2]
    labels = domain.split(".")
    domains = [".".join(labels[start:]) for start in range(max(1, len(labels) - 1))]
    return domains if domain == identity else [identity, *domains]
