"""What became of a call: anymail's statuses per recipient, and its errors for the call as a whole.

A documented refusal (4xx) is definite. Everything that happens after the request was handed over and is no answer is
ambiguous, and so is every 5xx and every answer that can't be read.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, Final

import requests
from urllib3 import exceptions as urllib3_errors

from delivery.providers.base import ACCEPTED, EntryResult, Outcome
from delivery.providers.verdicts import (
    ACCOUNT_PAUSED,
    ACCOUNT_SUSPENDED,
    BAD_CALL,
    BAD_REQUEST,
    CONFLICT,
    CREDENTIALS,
    FAILED,
    LOST,
    MALFORMED,
    QUOTA_EXCEEDED,
    SENDER_NOT_VERIFIED,
    SERVER_ERROR,
    SETTINGS,
    THROTTLED,
    UNKNOWN_STATUS,
    UNREACHABLE,
    Verdict,
    entry_result,
)

REJECTED: Final = Verdict(Outcome.REJECTED, None, "rejected")
INVALID: Final = Verdict(Outcome.REJECTED, None, "invalid")

# anymail.message.ANYMAIL_STATUSES without those of acceptance.
STATUSES: Final = {"invalid": INVALID, "rejected": REJECTED, "failed": FAILED}
TAKEN: Final = ("sent", "queued")

HTTP_STATUSES: Final[dict[int, Verdict]] = {
    401: CREDENTIALS,
    402: ACCOUNT_PAUSED,
    403: CREDENTIALS,
    404: SETTINGS,
    405: SETTINGS,
    407: SETTINGS,
    408: SERVER_ERROR,
    409: CONFLICT,
    429: THROTTLED,
}
MEANINGS_OF_TEXT: Final = (
    (
        re.compile(r"\b(daily|monthly|hourly)\b.{0,60}\b(limit|quota)|quota.{0,40}exceed|out of credits", re.I),
        QUOTA_EXCEEDED,
    ),
    (
        re.compile(r"not (been )?verified|sender signature|not a verified|domain .{0,60}not found|unverified", re.I),
        SENDER_NOT_VERIFIED,
    ),
    (re.compile(r"account.{0,60}(suspended|disabled|deactivated|blocked)", re.I), ACCOUNT_SUSPENDED),
    (re.compile(r"too many requests|rate.?limit", re.I), THROTTLED),
)
# Postmark answers a batch with one result a message; anymail gives up at the first that it does not know.
# https://postmarkapp.com/developer/api/overview#error-codes
POSTMARK_CODES: Final[dict[int, Verdict]] = {
    300: INVALID,
    406: REJECTED,  # inactive recipient
    400: SENDER_NOT_VERIFIED,
    401: SENDER_NOT_VERIFIED,
    412: ACCOUNT_PAUSED,
    405: ACCOUNT_PAUSED,
    429: THROTTLED,
}


def of_recipients(
    statuses: dict[str, Any], addresses: list[str], *, is_unknown_accepted: bool, fallback_id: str
) -> list[tuple[EntryResult, Verdict | None]]:
    """One result a recipient from anymail's statuses by address, in the order of `addresses`.

    "failed" says no reason. Where others of the call were taken it is about the person; where nobody was, it may well be
    about the account, and is tried again.
    """
    by_address = {address.lower(): status for address, status in statuses.items()}
    is_taken_in_part = any(status.status in TAKEN for status in statuses.values())
    results: list[tuple[EntryResult, Verdict | None]] = []
    for address in addresses:
        found = by_address.get(address.lower())
        status = found.status if found is not None else None
        if found is not None and (status in TAKEN or (status == "unknown" and is_unknown_accepted)):
            results.append((EntryResult(ACCEPTED, str(found.message_id or fallback_id), ""), None))
        else:
            verdict = STATUSES.get(status or "", UNKNOWN_STATUS)
            if verdict is FAILED and is_taken_in_part:
                verdict = REJECTED
            results.append((entry_result(verdict, ""), verdict))
    return results


def of_postmark(document: Any, count: int) -> list[tuple[EntryResult, Verdict | None]] | None:
    """One result a message of a batch's answer; None when it is none."""
    if not isinstance(document, list) or len(document) != count:
        return None
    results: list[tuple[EntryResult, Verdict | None]] = []
    for item in document:
        code = item.get("ErrorCode", 0) if isinstance(item, dict) else -1
        text = str(item.get("Message", "")) if isinstance(item, dict) else ""
        if code == 0 and item.get("MessageID"):
            results.append((EntryResult(ACCEPTED, str(item["MessageID"]), ""), None))
            continue
        verdict = POSTMARK_CODES.get(code, UNKNOWN_STATUS if code <= 0 else BAD_REQUEST)
        results.append((entry_result(verdict, text), verdict))
    return results


def of_answer(status: int, text: str, entries: int) -> Verdict:
    """Judge an answer that refuses a whole call."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return SERVER_ERROR
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return MALFORMED  # it was taken, maybe, and anymail could not read the answer
    if status < HTTPStatus.BAD_REQUEST:
        return SETTINGS
    known = HTTP_STATUSES.get(status)
    if known is not None and known.outcome is Outcome.AMBIGUOUS:
        return known
    for pattern, verdict in MEANINGS_OF_TEXT:
        if pattern.search(text):
            return verdict
    if known is not None:
        return known
    return BAD_CALL if entries > 1 else BAD_REQUEST


def of_error(error: BaseException) -> Verdict:
    """Judge what kept a request from being answered: only what surely came before the hand-over is definite."""
    if isinstance(error, requests.TooManyRedirects | requests.exceptions.ProxyError):
        return SETTINGS
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.MissingSchema):
        return SETTINGS
    if isinstance(error, requests.exceptions.InvalidSchema | requests.exceptions.InvalidHeader):
        return SETTINGS
    if isinstance(error, requests.ConnectTimeout) or _has_cause(error, urllib3_errors.NewConnectionError):
        return UNREACHABLE
    if isinstance(error, requests.exceptions.SSLError):
        return SETTINGS if "CERTIFICATE_VERIFY_FAILED" in str(error) else LOST
    return LOST


def _has_cause(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether one of its arguments or causes is of a kind: requests packs urllib3's errors into its own."""
    current: BaseException | None = error
    seen: set[int] = set()
    while current is not None and id(current) not in seen:
        if isinstance(current, kind):
            return True
        seen.add(id(current))
        reason = getattr(current, "reason", None)
        packed = next((arg for arg in current.args if isinstance(arg, BaseException)), None)
        current = reason if isinstance(reason, BaseException) else packed or current.__cause__
    return False
