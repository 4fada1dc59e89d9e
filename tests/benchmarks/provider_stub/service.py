"""What the stub answers to one request."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from http import HTTPStatus
from typing import NamedTuple

import orjson

from tests.benchmarks.provider_stub.calls import CallReader, MalformedError, Recipients
from tests.benchmarks.provider_stub.record import Record
from tests.benchmarks.provider_stub.signature import SignatureChecker

BULK_PATH = "/v2/email/outbound-bulk-emails"
SINGLE_PATH = "/v2/email/outbound-emails"
TEMPLATES_PATH = "/v2/email/templates"
ACCOUNT_PATH = "/v2/email/account"
IDENTITY_PATH = "/v2/email/identities/"

EMPTY_PAYLOAD = sha256(b"").hexdigest()
ID_MARK = b"@@@@@@@@@@@@@@@@"
RESULT = b'{"Status":"SUCCESS","MessageId":"%b-0d2f6c1e-8f5b-4c5e-9d5e-%012d-000000"}'
READERS: dict[str, Callable[[CallReader, bytearray, int, int], Recipients]] = {
    BULK_PATH: CallReader.bulk,
    SINGLE_PATH: CallReader.single,
}


class Request(NamedTuple):
    """A whole request; its body is buffer[start:end], its head begins at 0. Header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    buffer: bytearray
    start: int
    end: int


@dataclass(slots=True)
class Settings:
    """What can be changed while it runs.

    throttle: recipients per second above which calls are answered 429; 0 for no limit. Shares of calls are taken
    evenly, not by chance: 0.25 is every fourth. max_send_rate and max_24_hour_send are what GetAccount says.
    """

    latency_ms: float = 0.0
    throttle: float = 0.0
    throttle_share: float = 0.0
    error_share: float = 0.0
    max_send_rate: float = 1_000_000.0
    max_24_hour_send: float = -1.0


class Service:
    """Answers requests and keeps the record."""

    def __init__(self, *, settings: Settings, checker: SignatureChecker) -> None:
        self.settings = settings
        self.record = Record()
        self._checker = checker
        self._reader = CallReader()
        self._numbers = itertools.count(time.time_ns())
        self._templates: dict[int, bytes] = {}
        self._throttle_debt = self._error_debt = 0.0
        self._allowed_at = 0.0

    def answer(self, request: Request) -> tuple[bytes, bool]:
        """HTTP answer, and whether it is one of the provider's, which simulated latency delays."""
        reader = READERS.get(request.path)
        if reader and request.method == "POST":
            return self._send(reader, request), True
        if request.path.startswith("/_stub/"):
            return self._control(request), False
        if request.path == TEMPLATES_PATH and request.method == "POST":
            return self._store_template(request), True
        if not self._checker.is_genuine(request.method, request.path, request.headers, EMPTY_PAYLOAD):
            return self._bad_signature(), True
        if request.path == ACCOUNT_PATH:
            return _json(self._account()), True
        if request.path.startswith(IDENTITY_PATH):
            return _json({"VerifiedForSendingStatus": True, "DkimAttributes": {"Status": "SUCCESS"}}), True
        return _error(HTTPStatus.NOT_FOUND, "UnknownOperationException", request.path), True

    def _send(self, read: Callable[[CallReader, bytearray, int, int], Recipients], request: Request) -> bytes:
        try:
            recipients = read(self._reader, request.buffer, request.start, request.end)
        except MalformedError as error:
            self.record.malformed += 1
            return _error(HTTPStatus.BAD_REQUEST, "BadRequestException", str(error))
        if not self._checker.is_genuine(request.method, request.path, request.headers, recipients.payload_hash):
            return self._bad_signature()
        count = len(recipients.tags)
        if self._is_refused(count):
            self.record.throttled += 1
            return _error(HTTPStatus.TOO_MANY_REQUESTS, "TooManyRequestsException", "Maximum sending rate exceeded.")
        self._error_debt += self.settings.error_share
        if self._error_debt >= 1:
            self._error_debt -= 1
            self.record.errors += 1
            return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalServiceErrorException", "As configured.")
        self.record.accept(recipients.addresses, recipients.data, recipients.tags, request.end)
        number = b"%016x" % (next(self._numbers) & 0xFFFFFFFFFFFFFFFF)
        return self._accepted(count if request.path == BULK_PATH else 0).replace(ID_MARK, number)

    def _store_template(self, request: Request) -> bytes:
        try:
            payload_hash = self._reader.template(request.buffer, request.start, request.end)
        except MalformedError as error:
            return _error(HTTPStatus.BAD_REQUEST, "BadRequestException", str(error))
        if not self._checker.is_genuine(request.method, request.path, request.headers, payload_hash):
            return self._bad_signature()
        return _json({})

    def _is_refused(self, count: int) -> bool:
        self._throttle_debt += self.settings.throttle_share
        if self._throttle_debt >= 1:
            self._throttle_debt -= 1
            return True
        if self.settings.throttle:
            now = time.monotonic()
            if self._allowed_at > now:
                return True
            self._allowed_at = max(self._allowed_at, now - 0.1) + count / self.settings.throttle
        return False

    def _accepted(self, count: int) -> bytes:
        """Whole answer for so many entries, 0 for SendEmail's, with a mark where the call's number goes."""
        template = self._templates.get(count)
        if template is None:
            if count:
                body = b'{"BulkEmailEntryResults":[%b]}' % b",".join(RESULT % (ID_MARK, n) for n in range(count))
                template = _http(HTTPStatus.OK, body)
            else:
                body = b'{"MessageId":"%b-0d2f6c1e-8f5b-4c5e-9d5e-000000000000-000000"}' % ID_MARK
                # django-ses reads the request's id, too.
                template = _http(HTTPStatus.OK, body, f"x-amzn-RequestId: {ID_MARK.decode()}\r\n")
            self._templates[count] = template
        return template

    def _bad_signature(self) -> bytes:
        self.record.bad_signatures += 1
        return _error(HTTPStatus.FORBIDDEN, "InvalidSignatureException", "The signature does not match.")

    def _account(self) -> dict[str, object]:
        return {
            "EnforcementStatus": "HEALTHY",
            "ProductionAccessEnabled": True,
            "SendingEnabled": True,
            "SendQuota": {
                "Max24HourSend": self.settings.max_24_hour_send,
                "MaxSendRate": self.settings.max_send_rate,
                "SentLast24Hours": float(self.record.recipients),
            },
        }

    def _control(self, request: Request) -> bytes:
        match request.method, request.path:
            case "GET", "/_stub/stats":
                return _json(self.record.stats())
            case "POST", "/_stub/accepted":
                return _json(self.record.accepted(orjson.loads(bytes(request.buffer[request.start : request.end]))))
            case "POST", "/_stub/reset":
                # Requests under way, this one among them, stay counted.
                self.record = Record(in_flight=self.record.in_flight)
                return _json({})
            case "POST", "/_stub/settings":
                return self._change(orjson.loads(bytes(request.buffer[request.start : request.end]) or b"{}"))
        return _error(HTTPStatus.NOT_FOUND, "NotFound", request.path)

    def _change(self, changes: dict[str, float]) -> bytes:
        unknown = set(changes) - {field.name for field in fields(Settings)}
        if unknown:
            return _error(HTTPStatus.BAD_REQUEST, "BadRequest", f"no setting: {', '.join(sorted(unknown))}")
        for name, value in changes.items():
            setattr(self.settings, name, float(value))
        return _json(asdict(self.settings))


def _json(document: object) -> bytes:
    return _http(HTTPStatus.OK, orjson.dumps(document))


def _error(status: HTTPStatus, error_type: str, message: str) -> bytes:
    return _http(status, orjson.dumps({"message": message}), f"x-amzn-ErrorType: {error_type}\r\n")


def _http(status: HTTPStatus, body: bytes, headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
