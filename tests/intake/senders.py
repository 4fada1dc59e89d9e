"""SNS, SQS's producer and Firehose, as far as they bring events: each repeats what it has no 2xx for, as Amazon's does.

SNS repeats 5xx, 429 and no answer, and gives a message up for any other 4xx: then the event is lost, and is counted so.
Firehose repeats everything but 200, the same request with the same id. Both bring some twice though they were answered.
https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html
https://docs.aws.amazon.com/firehose/latest/dev/httpdeliveryrequestresponse.html
"""

from __future__ import annotations

import base64
import gzip
import http.client
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock, Thread
from urllib.parse import urlsplit

import orjson
from botocore.exceptions import BotoCoreError, ClientError

from tests.intake.installation import KEY, IntakeInstallation
from tests.intake.stream import Fact, document
from tests.webhooks.signer import Signer

STREAM = "arn:aws:firehose:us-east-1:000000000000:deliverystream/intake"
TOPIC = "arn:aws:sns:us-east-1:000000000000:intake"
TIMEOUT_SECONDS = 15.0  # SNS's own
# SNS's phases: at once, then after longer and longer; a second of its schedule takes a fiftieth here.
RETRY_SECONDS = (0.0, 0.0, 0.0, 0.02, 0.02, 0.02, 0.05, 0.1, 0.2, 0.4)
SNS_THREADS = 6
FIREHOSE_THREADS = 2
TWICE = 0.02


@dataclass
class Tally:
    """What one way did. requests: those that were answered and those that were not; repeats: because of no 2xx."""

    events: int = 0
    requests: int = 0
    repeats: int = 0
    refused: int = 0
    last_refusal: str = ""


class Way:
    """Brings facts in threads of its own."""

    name = ""

    def __init__(self, installation: IntakeInstallation, facts: Sequence[Fact], seed: str) -> None:
        self.installation = installation
        self.tally = Tally()
        self.total = len(facts)
        self.dice = random.Random(f"{seed}:{self.name}")
        self.facts = list(facts)
        self.dice.shuffle(self.facts)
        self._lock = Lock()
        self._threads: list[Thread] = []

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    @property
    def is_over(self) -> bool:
        return not any(thread.is_alive() for thread in self._threads)

    @property
    def share(self) -> float:
        """How much of it has been brought, 0 to 1."""
        return self.tally.events / max(1, self.total)

    def count(self, **more: int) -> None:
        with self._lock:
            for name, number in more.items():
                setattr(self.tally, name, getattr(self.tally, name) + number)


class Door:
    """One kept connection to the web server, opened again whenever it broke."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)
        self._connection: http.client.HTTPConnection | None = None

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> int:
        """The answer's status, 0 when there was none."""
        if self._connection is None:
            host, port = self._address.hostname or "", self._address.port
            self._connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
        try:
            self._connection.request("POST", path, body, headers)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            return 0
        return answer.status

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class HttpWay(Way):
    """What SNS and Firehose have in common: posts that are insisted on."""

    path = ""

    def insist(self, door: Door, body: bytes, headers: dict[str, str], *, events: int) -> None:
        attempt = 0
        while True:
            status = door.post(self.path, body, headers)
            self.count(requests=1)
            if 200 <= status < 300:
                self.count(events=events)
                return
            if 400 <= status < 500 and status != 429:
                self.tally.last_refusal = f"{self.name}: {status}"
                self.count(refused=events, events=events)
                return
            self.count(repeats=1)
            time.sleep(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)])
            attempt += 1


class SnsPush(HttpWay):
    name, path = "sns", "/webhooks/ses"

    def __init__(self, installation: IntakeInstallation, facts: Sequence[Fact], seed: str) -> None:
        super().__init__(installation, facts, seed)
        self._threads = [Thread(target=self._push, args=(n,), name=f"sns-{n}", daemon=True) for n in range(SNS_THREADS)]

    def _push(self, number: int) -> None:
        dice, door = random.Random(f"{number}:{self.total}"), Door(self.installation.web_url)
        for fact in self.facts[number::SNS_THREADS]:
            body = envelope(self.installation.signer, fact)
            headers = {"Content-Type": "text/plain; charset=UTF-8", "x-amz-sns-message-type": "Notification"}
            self.insist(door, body, headers, events=1)
            if dice.random() < TWICE:
                self.insist(door, body, headers, events=0)
        door.close()


class Firehose(HttpWay):
    name, path = "firehose", "/webhooks/firehose/"

    def __init__(self, installation: IntakeInstallation, facts: Sequence[Fact], seed: str) -> None:
        super().__init__(installation, facts, seed)
        self._records = max(20, min(500, self.total // 50))  # of a request
        self._threads = [
            Thread(target=self._deliver, args=(n,), name=f"firehose-{n}", daemon=True) for n in range(FIREHOSE_THREADS)
        ]

    def _deliver(self, number: int) -> None:
        dice, door = random.Random(f"{number}:{self.total}"), Door(self.installation.web_url)
        starts = range(0, self.total, self._records)
        for start in starts[number::FIREHOSE_THREADS]:
            facts = self.facts[start : start + self._records]
            request_id = f"{self.name}-{start}"
            records = [{"data": base64.b64encode(document(fact)).decode()} for fact in facts]
            body = gzip.compress(orjson.dumps({"requestId": request_id, "timestamp": 1, "records": records}), 1)
            headers = {
                "Content-Type": "application/json",
                "Content-Encoding": "gzip",
                "X-Amz-Firehose-Protocol-Version": "1.0",
                "X-Amz-Firehose-Request-Id": request_id,
                "X-Amz-Firehose-Source-Arn": STREAM,
                "X-Amz-Firehose-Access-Key": KEY,
            }
            self.insist(door, body, headers, events=len(facts))
            if dice.random() < TWICE:
                self.insist(door, body, headers, events=0)
        door.close()


class Queue(Way):
    """The topic's other subscription: SNS's envelopes in an SQS queue, which the installation empties."""

    name = "queue"

    def __init__(self, installation: IntakeInstallation, facts: Sequence[Fact], seed: str) -> None:
        super().__init__(installation, facts, seed)
        self._sent = 0
        self._threads = [Thread(target=self._fill, name="queue-fill", daemon=True)]

    def _fill(self) -> None:
        for start in range(0, self.total, 10):
            bodies = [envelope(self.installation.signer, fact, sign=False) for fact in self.facts[start : start + 10]]
            while not self._send(bodies):
                self.count(repeats=1)
                time.sleep(0.1)
            self._sent += len(bodies)

    def _send(self, bodies: Sequence[bytes]) -> bool:
        self.count(requests=1)
        try:
            self.installation.queue.send(bodies)
        except (BotoCoreError, ClientError):
            return False
        return True

    @property
    def share(self) -> float:
        """How much of it has been taken out."""
        sent = self._sent
        self.tally.events = max(self.tally.events, sent - self.installation.left_in_queue())
        return super().share


def envelope(signer: Signer, fact: Fact, *, sign: bool = True) -> bytes:
    """SNS's message about a fact. What goes to a queue is not looked at for its signature."""
    text, message_id = document(fact).decode(), f"{fact.mailout_id}-{fact.n}-{fact.type.value}-{fact.at:%d%H%M%S}"
    if sign:
        return signer.notification(text, topic=TOPIC, message_id=message_id)
    fields = {"Type": "Notification", "MessageId": message_id, "TopicArn": TOPIC, "Message": text}
    return orjson.dumps(fields | {"Timestamp": "2026-11-03T10:00:05.123Z"})
