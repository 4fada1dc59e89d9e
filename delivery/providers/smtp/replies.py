"""What a mail server's replies mean: accepted, definitely not accepted, and what they say about the account.

A reply of 4xx or 5xx at any step, also after the message, is a definite refusal: the server has not taken responsibility
(RFC 5321 §4.2.1, §6.1). Only silence after the message is ambiguous. Enhanced codes (RFC 3463) decide where there are some;
texts where services say it in words only.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from delivery.providers.base import Outcome, Signal
from delivery.providers.verdicts import ACCOUNT_SUSPENDED, CREDENTIALS, MALFORMED, QUOTA_EXCEEDED, THROTTLED, Verdict

MAIL, RCPT, DATA, END = "MAIL", "RCPT", "DATA", "END"  # the step that was answered

ACCEPTED: Final = Verdict(Outcome.ACCEPTED, None, "")
SENDER_REFUSED: Final = Verdict(Outcome.RETRY, Signal.SENDER_NOT_VERIFIED, "sender_refused")
NOT_TRIED: Final = Verdict(Outcome.RETRY, None, "not_tried")
TRANSIENT: Final = Verdict(Outcome.RETRY, None, "refused_for_now")
REJECTED: Final = Verdict(Outcome.REJECTED, None, "refused")
TOO_LARGE: Final = Verdict(Outcome.REJECTED, None, "message_too_large")


class Reply(NamedTuple):
    """A reply and the step that it answers. code: three digits, or -1 for what is no SMTP reply."""

    step: str
    code: int
    text: str


_ENHANCED = re.compile(r"(?<![0-9.])[245]\.([0-9]{1,3}\.[0-9]{1,3})(?![0-9.])")
# https://docs.aws.amazon.com/ses/latest/dg/troubleshoot-smtp.html and https://support.google.com/a/answer/3726730
_QUOTA = re.compile(r"\b(daily|quota|sending limit|message limit)\b.*\b(exceeded|reached|limit)\b", re.IGNORECASE)
_THROTTLED = re.compile(
    r"throttl|rate limit|sending rate|too (many|fast)|slow down|try again later.*rate|concurrent", re.IGNORECASE
)
_UNVERIFIED = re.compile(r"not verified|sender (address )?rejected|not (authorized|allowed) to send (as|from)", re.I)
_SUSPENDED = re.compile(r"account.{0,40}(suspended|disabled|locked|blocked)", re.IGNORECASE)
_SENDER_STATUS = ("1.7", "1.8", "7.27")  # bad sender's mailbox, bad sender's system, null MX of the sender
_SIZE_STATUS = ("2.3", "3.4")
_CREDENTIAL_CODES = (530, 534, 535, 538)


def judge(reply: Reply) -> Verdict:
    """Judge the reply that ended a message's conversation."""
    code, text = reply.code, reply.text
    if 200 <= code < 300:
        return ACCEPTED if reply.step == END else MALFORMED_BEFORE_THE_MESSAGE
    if not 400 <= code < 600:
        return MALFORMED if reply.step == END else MALFORMED_BEFORE_THE_MESSAGE
    found = _ENHANCED.search(text)
    status = found.group(1) if found else ""
    if code in _CREDENTIAL_CODES:
        return CREDENTIALS
    if _SUSPENDED.search(text):
        return ACCOUNT_SUSPENDED
    if reply.step != RCPT or code < 500:  # what is said of one recipient is no word about us
        if status == "4.5" or _QUOTA.search(text):
            return QUOTA_EXCEEDED
        if _THROTTLED.search(text) or (code == 421 and reply.step != END):
            return THROTTLED
    if status in _SIZE_STATUS or (code == 552 and not status):
        return TOO_LARGE
    if code >= 500 and (status in _SENDER_STATUS or reply.step == MAIL or _UNVERIFIED.search(text)):
        return SENDER_REFUSED
    return REJECTED if code >= 500 else TRANSIENT


# A server that answers out of step before it has the message has accepted nothing.
MALFORMED_BEFORE_THE_MESSAGE: Final = Verdict(Outcome.RETRY, Signal.MISCONFIGURED, "malformed_answer")
