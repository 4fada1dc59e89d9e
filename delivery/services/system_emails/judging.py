"""What an exception of a mail backend means: certainly not sent, refused for good, or nobody knows."""

from __future__ import annotations

import smtplib
from typing import NamedTuple

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)

from delivery.providers import verdicts
from delivery.providers.base import Outcome
from delivery.providers.ses.aws_client import NEVER_LEFT
from delivery.providers.ses.mapping import judge_refusal
from delivery.providers.smtp.replies import END, MAIL, RCPT, Reply, judge
from delivery.providers.verdicts import Verdict


class Judgement(NamedTuple):
    """A verdict and the service's own words, fit to be shown."""

    verdict: Verdict
    text: str

    @property
    def reason(self) -> str:
        return verdicts.describe(self.verdict, self.text)

    @property
    def is_about_the_way(self) -> bool:
        """Whether the next letter would fare alike, so that it should wait."""
        return self.verdict.signal is not None or self.verdict.outcome is Outcome.AMBIGUOUS


def judge_opening(error: Exception) -> Judgement:
    """Of a connection that could not be opened: nothing was handed over."""
    if isinstance(error, smtplib.SMTPResponseException):
        verdict = judge(_reply(END, error.smtp_code, error.smtp_error))
        return Judgement(verdict if verdict.signal else verdicts.UNREACHABLE, _text(error.smtp_error))
    if isinstance(error, BotoCoreError):
        return Judgement(verdicts.SETTINGS, str(error))
    return Judgement(verdicts.UNREACHABLE, str(error) or type(error).__name__)


def judge_sending(error: Exception, *, sender: str) -> Judgement:
    """Of a letter that was being handed over. sender: the bare address, for refusals that name it.

    smtplib does not say how far it came when a connection ends, so that this is ambiguous.
    """
    if isinstance(error, ClientError | BotoCoreError):
        return _judge_amazon(error, sender)
    if isinstance(error, smtplib.SMTPException):
        return _judge_smtp(error)
    return Judgement(verdicts.LOST, str(error) or type(error).__name__)


def _judge_amazon(error: ClientError | BotoCoreError, sender: str) -> Judgement:
    if isinstance(error, ClientError):
        told = error.response["Error"]
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        code, text = told.get("Code", ""), told.get("Message", "")
        return Judgement(judge_refusal(status, code, text, entries=1, sender=sender), text or code)
    if isinstance(error, NEVER_LEFT):
        return Judgement(verdicts.UNREACHABLE, str(error))
    if isinstance(error, HTTPClientError):
        return Judgement(verdicts.LOST, str(error))
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return Judgement(verdicts.CREDENTIALS, str(error))
    if isinstance(error, ParamValidationError):
        return Judgement(verdicts.BAD_REQUEST, str(error))
    return Judgement(verdicts.SETTINGS, str(error))


def _judge_smtp(error: smtplib.SMTPException) -> Judgement:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, text = next(iter(error.recipients.values()))
        return Judgement(judge(_reply(RCPT, code, text)), _text(text))
    if isinstance(error, smtplib.SMTPResponseException):
        step = MAIL if isinstance(error, smtplib.SMTPSenderRefused) else END
        return Judgement(judge(_reply(step, error.smtp_code, error.smtp_error)), _text(error.smtp_error))
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return Judgement(verdicts.BAD_REQUEST, str(error))
    return Judgement(verdicts.LOST, str(error))


def _reply(step: str, code: int, text: bytes | str) -> Reply:
    return Reply(step, code, _text(text))


def _text(text: bytes | str) -> str:
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text
