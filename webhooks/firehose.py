"""The door for Amazon Data Firehose, which posts up to some thousand events at once.

Believed is whoever knows one of `FIREHOSE_ACCESS_KEYS`; the stream's ARN must stand in an account's list. Everything of
a request is stored in one transaction or nothing is. Firehose repeats whatever does not answer 200 in its form, and
keeps it in S3 when its patience ends, so that an answer other than 200 loses nothing.
https://docs.aws.amazon.com/firehose/latest/dev/httpdeliveryrequestresponse.html
"""

from __future__ import annotations

import re
import time
import zlib
from base64 import b64decode
from binascii import Error as Base64Error
from hmac import compare_digest
from typing import Any, Final, NamedTuple

import orjson
import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from delivery.event_tasks import wake_processor
from webhooks.inbound.bodies import Origin, read_body
from webhooks.inbound.receiving import LOCAL_ACCOUNT, topics
from webhooks.inbound.storing import store_together

logger = structlog.get_logger(__name__)

# Base64 of a stream's largest sensible buffer for events, 4 MB, and room. Firehose's own default is 5 MB: docs/ses.md.
MAX_BODY: Final = 8 * 1024 * 1024
MAX_RECORDS: Final = 20_000
_STREAM: Final = re.compile(
    r"arn:(aws|aws-cn|aws-us-gov):firehose:[a-z0-9-]{5,25}:([0-9]{12}):deliverystream/[A-Za-z0-9_.-]{1,64}"
)
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")


class RefusedError(Exception):
    """What is answered in place of the acknowledgement."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Delivery(NamedTuple):
    """One request: its id and what its records hold."""

    request_id: str
    records: list[bytes]


@csrf_exempt
@require_POST
def receive_firehose(request: HttpRequest) -> HttpResponse:
    """Take one delivery. 404 where no key is configured."""
    if not settings.FIREHOSE_ACCESS_KEYS:
        return HttpResponse(status=404)
    request_id = request.headers.get("X-Amz-Firehose-Request-Id", "")
    if not _REQUEST_ID.fullmatch(request_id):
        request_id = ""
    try:
        _receive(request, request_id)
    except RefusedError as error:
        logger.warning("webhooks.firehose_refused", status=error.status, reason=str(error), request=request_id)
        return _answer(request_id, status=error.status, error=str(error))
    except (UnreadablePostError, OSError):
        return _answer(request_id, status=503, error="The request broke off.")
    except (DatabaseError, InterfaceError) as error:
        logger.warning("webhooks.firehose_try_again", error=type(error).__name__, request=request_id)
        return _answer(request_id, status=503, error="Not stored; try again.")
    return _answer(request_id, status=200)


def _receive(request: HttpRequest, request_id: str) -> None:
    _check_key(request.headers.get("X-Amz-Firehose-Access-Key", ""))
    origin = _origin(request.headers.get("X-Amz-Firehose-Source-Arn", ""))
    if not request_id:
        raise RefusedError(400, "X-Amz-Firehose-Request-Id is missing or no id.")
    if request.content_type != "application/json":
        raise RefusedError(415, "Content-Type must be application/json.")
    delivery = _read(_body(request))
    if delivery.request_id != request_id:
        raise RefusedError(400, "requestId differs from X-Amz-Firehose-Request-Id.")
    messages = [message for record in delivery.records for message in read_body(record, origin, topics.find)]
    dead = [message for message in messages if message.problem is not None]
    if dead:
        logger.warning("webhooks.firehose_dead", count=len(dead), reason=dead[0].problem, request=request_id)
    if store_together(messages):
        wake_processor()


def _check_key(given: str) -> None:
    """Compare with every key, so that the time tells nothing about which one was nearly right."""
    sent = given.encode("utf-8", "surrogateescape")
    matches = [compare_digest(sent, key.encode()) for key in settings.FIREHOSE_ACCESS_KEYS]
    if not any(matches):
        raise RefusedError(401, "X-Amz-Firehose-Access-Key is missing or wrong.")


def _origin(arn: str) -> Origin:
    match = _STREAM.fullmatch(arn)
    if match is None:
        raise RefusedError(400, "X-Amz-Firehose-Source-Arn is not the ARN of a Firehose stream.")
    account = topics.find(arn)
    is_local = match[2] == LOCAL_ACCOUNT
    if account is None or account.is_local != is_local:
        raise RefusedError(403, "No sending account lists this stream among its topics, queues and streams.")
    return Origin(arn, is_local)


def _body(request: HttpRequest) -> bytes:
    """The body, unpacked. Bounded before and after: a small body may unpack to a huge one."""
    body = request.read(MAX_BODY + 1)
    if len(body) > MAX_BODY:
        raise RefusedError(413, f"Longer than {MAX_BODY} bytes: lower the buffer size of the stream to 4 MB.")
    encoding = request.headers.get("Content-Encoding", "").lower()
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise RefusedError(415, "Content-Encoding must be gzip or absent.")
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(body, MAX_BODY + 1)
    except zlib.error as error:
        raise RefusedError(400, "The body is not gzip.") from error
    if len(unpacked) > MAX_BODY:
        raise RefusedError(413, f"Unpacked longer than {MAX_BODY} bytes: lower the buffer size of the stream to 4 MB.")
    if not unpacker.eof:
        raise RefusedError(400, "The body ends before its gzip does.")
    return unpacked


def _read(body: bytes) -> Delivery:
    try:
        document: Any = orjson.loads(body)
        records = [b64decode(record["data"], validate=True) for record in document["records"]]
        request_id = document["requestId"]
    except (orjson.JSONDecodeError, Base64Error, KeyError, TypeError, ValueError) as error:
        raise RefusedError(
            400, "Not a delivery of Firehose: requestId, timestamp, records with base64 data."
        ) from error
    if not isinstance(request_id, str) or len(records) > MAX_RECORDS:
        raise RefusedError(400, f"requestId is no text, or there are more than {MAX_RECORDS} records.")
    return Delivery(request_id, records)


def _answer(request_id: str, *, status: int, error: str = "") -> HttpResponse:
    document: dict[str, object] = {"requestId": request_id, "timestamp": int(time.time() * 1000)}
    if error:
        document["errorMessage"] = error
    return HttpResponse(orjson.dumps(document), status=status, content_type="application/json")
