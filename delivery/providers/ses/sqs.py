"""Amazon SQS in its JSON protocol: the three operations that reading a queue takes.

Own signature and kept connections rather than boto3's client: at ten messages a call, its 300 µs of Python would cost
more than all that is done with the messages. Nothing is repeated here: whoever reads decides how long to wait.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-json.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson

from delivery.providers.base import PermanentError, TransientError
from delivery.providers.ses.account import error_of, parse_object
from delivery.providers.ses.connections import AnswerLostError, ConnectionPool, NotHandedOverError
from delivery.providers.ses.credentials import CredentialSource
from delivery.providers.ses.endpoint import parse_endpoint
from delivery.providers.ses.signing import RequestSigner

MOST_MESSAGES = 10  # of one call, by SQS's own limit
LONGEST_WAIT_SECONDS = 20
_JSON = "application/x-amz-json-1.0"
_URL = re.compile(r"(https?)://([^/?#]+)/([0-9]{12})/([A-Za-z0-9_-]{1,80}(?:\.fifo)?)")
_REGION = re.compile(r"(?:^|\.)([a-z]{2}(?:-[a-z]+)+-[0-9]{1,2})\.")
_LOCAL_REGION = "us-east-1"
LOCAL_ACCOUNT = "000000000000"
# Refusals that pass by themselves.
_PASSING = ("Throttl", "OverLimit", "KmsThrottled", "ServiceUnavailable", "InternalFailure", "InternalError")


class QueueAddress(NamedTuple):
    """A queue by its address. is_local: of Local SES's account, which Amazon gives to nobody."""

    url: str
    region: str
    account: str
    name: str

    @property
    def is_local(self) -> bool:
        return self.account == LOCAL_ACCOUNT

    @property
    def arn(self) -> str:
        partition = "aws-cn" if self.region.startswith("cn-") else "aws-us-gov" if "-gov-" in self.region else "aws"
        return f"arn:{partition}:sqs:{self.region}:{self.account}:{self.name}"


class QueuedMessage(NamedTuple):
    """A message and the handle of this one reception, which deletes it."""

    handle: str
    body: bytes


def parse_queue_url(url: str) -> QueueAddress:
    """Read `https://sqs.<region>.amazonaws.com/<account>/<name>`, also of a VPC endpoint. Raises PermanentError."""
    match = _URL.fullmatch(url)
    if match is None:
        raise PermanentError(
            f"{url!r} is not the address of a queue, such as https://sqs.<region>.amazonaws.com/…/name"
        )
    scheme, host, account, name = match.groups()
    region = _REGION.search(host)
    if account == LOCAL_ACCOUNT:
        return QueueAddress(url, region[1] if region else _LOCAL_REGION, account, name)
    if scheme != "https" or region is None:
        raise PermanentError(f"{url!r}: a queue of Amazon's has an https address with its region in it")
    return QueueAddress(url, region[1], account, name)


class SqsQueue:
    """One queue; safe to share between threads. All methods raise TransientError and PermanentError."""

    def __init__(self, address: QueueAddress, credentials: CredentialSource) -> None:
        parts = urlsplit(address.url)
        endpoint = parse_endpoint(f"{parts.scheme}://{parts.netloc}")
        self.address = address
        self._host = endpoint.host_header
        self._credentials = credentials
        self._signer = RequestSigner(region=address.region, host=endpoint.host_header, service="sqs")
        self._pool = ConnectionPool(
            host=endpoint.host,
            port=endpoint.port,
            use_tls=endpoint.use_tls,
            connect_timeout_seconds=5.0,
            read_timeout_seconds=LONGEST_WAIT_SECONDS + 10.0,
            max_idle_seconds=4.0,
        )

    def attributes(self) -> dict[str, str]:
        """All attributes: QueueArn, VisibilityTimeout, RedrivePolicy if any, approximate numbers."""
        found: dict[str, str] = self._call("GetQueueAttributes", AttributeNames=["All"]).get("Attributes", {})
        return found

    def receive(self, *, wait_seconds: int, visibility_seconds: int) -> list[QueuedMessage]:
        """Take up to ten messages, waiting for the first; others see them again after `visibility_seconds`."""
        answer = self._call(
            "ReceiveMessage",
            MaxNumberOfMessages=MOST_MESSAGES,
            WaitTimeSeconds=wait_seconds,
            VisibilityTimeout=visibility_seconds,
        )
        try:
            return [
                QueuedMessage(message["ReceiptHandle"], message["Body"].encode("utf-8", "surrogatepass"))
                for message in answer.get("Messages") or ()
            ]
        except (KeyError, TypeError, AttributeError) as error:
            raise TransientError("SQS: an answer without messages' bodies") from error

    def delete(self, handles: Sequence[str]) -> list[str]:
        """Delete up to ten messages; return the handles of those that SQS failed to and may delete when asked again.

        A handle that SQS no longer takes is not among them: its message comes again, and is known by then.
        """
        entries = [{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(handles)]
        failed = self._call("DeleteMessageBatch", Entries=entries).get("Failed") or ()
        try:
            return [handles[int(entry["Id"])] for entry in failed if not entry.get("SenderFault")]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise TransientError("SQS: a failure without the id of its message") from error

    def close(self) -> None:
        """Close idle connections."""
        self._pool.close()

    def _call(self, operation: str, **parameters: object) -> dict[str, Any]:
        body = orjson.dumps({"QueueUrl": self.address.url, **parameters})
        signed = self._signer.headers(
            "POST",
            "/",
            sha256(body).hexdigest(),
            self._credentials.keys(),
            content_type=_JSON,
            target=f"AmazonSQS.{operation}",
        )
        head = (
            f"POST / HTTP/1.1\r\nHost: {self._host}\r\nUser-Agent: AmazonSender\r\nAccept-Encoding: identity\r\n"
            f"Content-Type: {_JSON}\r\nContent-Length: {len(body)}\r\n{signed}\r\n"
        )
        try:
            answer = self._pool.exchange(head.encode("ascii") + body)
        except (NotHandedOverError, AnswerLostError) as error:
            raise TransientError(f"SQS cannot be reached: {error}") from error
        if answer.status != HTTPStatus.OK:
            kind, text = error_of(answer)
            sentence = f"SQS refused {operation}: {kind or answer.status}: {text}"
            if answer.status >= 500 or kind.startswith(_PASSING) or kind.endswith("Throttled"):
                raise TransientError(sentence)
            raise PermanentError(sentence)
        return parse_object(answer.body) or {}
