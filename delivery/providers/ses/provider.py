"""The SES adapter: one HTTP request per call, signed when built, handed over once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar

from delivery.providers import verdicts
from delivery.providers.base import (
    ACCEPTED,
    AccountStatus,
    CallResult,
    Entry,
    EntryResult,
    IdentityStatus,
    Limits,
    OutgoingEmail,
    PreparedCall,
    ProviderError,
    Signal,
    Variant,
)
from delivery.providers.ses import account, limits, mapping
from delivery.providers.ses.answers import Answer
from delivery.providers.ses.connections import AnswerLostError, ConnectionPool, NotHandedOverError
from delivery.providers.ses.credentials import CredentialSource, RefreshableCredentials
from delivery.providers.ses.endpoint import check_region, parse_endpoint, ses_url
from delivery.providers.ses.inspection import SesInspection
from delivery.providers.ses.requests import (
    BULK_PATH,
    SINGLE_PATH,
    PreparedEmail,
    build_bulk,
    build_single,
    prepare_email,
)
from delivery.providers.ses.signing import EMPTY_PAYLOAD, RequestSigner

JSON_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class SesCall:
    """A signed request. `problem` is why it could not be signed; such a call is never handed over."""

    request: bytes
    size: int
    entries: int
    sender: str
    is_bulk: bool
    problem: str = ""


class SesProvider(SesInspection):
    """Amazon SES in one region with one set of credentials. Safe for threads and across a fork.

    endpoint_url: instead of Amazon's, for a local server. Credentials: keys, or a refreshable object of botocore's,
    or neither for botocore's own search. max_idle_seconds: connections idle for longer are not used again; keep it
    below the server's own limit. Raises PermanentError for a region or address that cannot be one.
    """

    label: ClassVar[str] = "Amazon SES"
    variants: ClassVar[Mapping[str, Variant]] = {}  # connected by region, configuration set and topic
    tells_limits: ClassVar[bool] = True
    inbound: ClassVar[str] = ""  # over SNS
    name = "ses"
    limits = Limits(entries_per_call=limits.ENTRIES_PER_CALL, bytes_per_call=limits.BYTES_PER_CALL)

    def __init__(
        self,
        region: str,
        *,
        endpoint_url: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        session_token: str | None = None,
        credentials: RefreshableCredentials | None = None,
        connect_timeout_seconds: float = 3.0,
        read_timeout_seconds: float = 15.0,
        max_idle_seconds: float = 4.0,
    ) -> None:
        check_region(region)
        source = CredentialSource(
            access_key=access_key, secret_key=secret_key, session_token=session_token, credentials=credentials
        )
        super().__init__(region=region, endpoint_url=endpoint_url, credentials=source)
        self._endpoint = parse_endpoint(endpoint_url or ses_url(region))
        self._signer = RequestSigner(region=region, host=self._endpoint.host_header)
        self._pool = ConnectionPool(
            host=self._endpoint.host,
            port=self._endpoint.port,
            use_tls=self._endpoint.use_tls,
            connect_timeout_seconds=connect_timeout_seconds,
            read_timeout_seconds=read_timeout_seconds,
            max_idle_seconds=max_idle_seconds,
        )

    def prepare(self, email: OutgoingEmail) -> PreparedEmail:
        """Check, encode and hash what all calls of this email share. Raises PermanentError naming the limit."""
        return prepare_email(email)

    def build(self, prepared: object, entries: Sequence[Entry], call_id: str) -> PreparedCall:
        """Encode and sign one call: SendEmail for one entry, SendBulkEmail for several.

        Raises PermanentError naming entry, limit and offender. Credentials that cannot be had are no fault of the
        entries: the call is built, and sending it answers "try again" and Signal.MISCONFIGURED.
        """
        if not isinstance(prepared, PreparedEmail):
            raise TypeError("prepared by another provider")
        limits.check_entry_count(entries)
        limits.check_tag(limits.CALL_TAG, call_id)
        is_bulk = len(entries) > 1
        body = build_bulk(prepared, entries, call_id) if is_bulk else build_single(prepared, entries[0], call_id)
        problem, request = "", b""
        try:
            head = self._head("POST", BULK_PATH if is_bulk else SINGLE_PATH, body.payload_hash, body.size)
            request = b"".join((head, *body.parts))
        except ProviderError as error:
            problem = str(error)
        return SesCall(request, body.size, len(entries), prepared.sender, is_bulk, problem)

    def send(self, call: PreparedCall) -> CallResult:
        """Hand the call over once and tell each entry's fate; see `mapping` for what each answer means."""
        if not isinstance(call, SesCall):
            raise TypeError("built by another provider")
        started = time.perf_counter()
        entries, signal, detail = self._send(call)
        return CallResult(entries, signal, detail, time.perf_counter() - started)

    def account_status(self) -> AccountStatus:
        """Read quota, rate and standing (GetAccount). Raises ProviderError."""
        return account.parse_account(self._get(account.ACCOUNT_PATH, "ses:GetAccount"))

    def identity_status(self, identity: str) -> IdentityStatus:
        """Tell whether an address or domain may send: itself, or a domain above it. Raises ProviderError."""
        return account.find_identity(identity, lambda path: self._get(path, "ses:GetEmailIdentity"))

    def close(self) -> None:
        """Close idle connections."""
        self._pool.close()

    def _send(self, call: SesCall) -> tuple[Sequence[EntryResult], Signal | None, str]:
        if call.problem:
            return _all_alike(call, verdicts.CREDENTIALS, call.problem)
        try:
            answer = self._pool.exchange(call.request)
        except NotHandedOverError as error:
            return _all_alike(call, verdicts.UNREACHABLE, str(error))
        except AnswerLostError as error:
            return _all_alike(call, verdicts.LOST, str(error))
        if answer.status != HTTPStatus.OK:
            error_type, text = account.error_of(answer)
            verdict = mapping.judge_refusal(answer.status, error_type, text, entries=call.entries, sender=call.sender)
            return _all_alike(call, verdict, text or f"HTTP {answer.status} {error_type}".rstrip())
        return _read_bulk(call, answer) if call.is_bulk else _read_single(call, answer)

    def _get(self, path: str, action: str) -> account.Json:
        request = self._head("GET", path, EMPTY_PAYLOAD, 0)
        try:
            answer = self._pool.exchange(request)
        except NotHandedOverError as error:
            raise account.not_handed_over(str(error)) from error
        except AnswerLostError as error:
            raise account.answer_lost(str(error)) from error
        return account.read_answer(answer, action)

    def _head(self, method: str, path: str, payload_hash: str, size: int) -> bytes:
        """Request line and headers. Raises ProviderError when there are no credentials."""
        path = self._endpoint.path + path
        content = f"Content-Type: {JSON_TYPE}\r\nContent-Length: {size}\r\n" if method == "POST" else ""
        signed = self._signer.headers(
            method, path, payload_hash, self._credentials.keys(), content_type=JSON_TYPE if content else ""
        )
        return (
            f"{method} {path} HTTP/1.1\r\nHost: {self._endpoint.host_header}\r\nUser-Agent: AmazonSender\r\n"
            f"Accept-Encoding: identity\r\n{content}{signed}\r\n"
        ).encode("ascii")


def _all_alike(call: SesCall, verdict: verdicts.Verdict, text: str) -> tuple[Sequence[EntryResult], Signal | None, str]:
    result = verdicts.entry_result(verdict, text)
    return [result] * call.entries, verdict.signal, result.error


def _read_single(call: SesCall, answer: Answer) -> tuple[Sequence[EntryResult], Signal | None, str]:
    document = account.parse_object(answer.body)
    message_id = document.get("MessageId") if document else None
    if not (message_id and isinstance(message_id, str)):
        return _all_alike(call, verdicts.MALFORMED, "an answer without a message id")
    return [EntryResult(ACCEPTED, message_id, "")], None, ""


def _read_bulk(call: SesCall, answer: Answer) -> tuple[Sequence[EntryResult], Signal | None, str]:
    document = account.parse_object(answer.body)
    rows = document.get("BulkEmailEntryResults") if document else None
    if not isinstance(rows, list) or len(rows) != call.entries:
        found = len(rows) if isinstance(rows, list) else "no"
        return _all_alike(call, verdicts.MALFORMED, f"{found} results for {call.entries} entries")
    results: list[EntryResult] = []
    troubles: dict[Signal, str] = {}
    for row in rows:
        try:
            if row["Status"] == "SUCCESS":
                results.append(EntryResult(ACCEPTED, row["MessageId"], ""))
                continue
            text = row.get("Error") or ""
            verdict = mapping.judge_status(row["Status"], text, call.sender)
        except (KeyError, TypeError, AttributeError):
            results.append(verdicts.entry_result(verdicts.MALFORMED, "a result without status or message id"))
            continue
        if verdict is verdicts.UNKNOWN_STATUS:
            text = f"{row['Status']} {text}"
        result = verdicts.entry_result(verdict, text)
        results.append(result)
        if verdict.signal is not None:
            troubles.setdefault(verdict.signal, result.error)
    signal = verdicts.heaviest(troubles)
    return results, signal, troubles[signal] if signal else ""
