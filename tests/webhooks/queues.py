"""A queue for tests: the SQS program, its address, and botocore's own client of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from tests.webhooks.sqs_service import ACCESS_KEY, SECRET_KEY

ROOT = Path(__file__).resolve().parents[2]
NAME = "events"
QUEUE_ARN = f"arn:aws:sqs:us-east-1:000000000000:{NAME}"


class RunningQueue:
    """url: of the queue; client: botocore's, which validates every answer by Amazon's model."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/000000000000/{NAME}"
        self.client: Any = boto3.client(
            "sqs",
            region_name="us-east-1",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(retries={"total_max_attempts": 1}),
        )

    def send(self, bodies: Sequence[str | bytes]) -> None:
        for start in range(0, len(bodies), 10):
            some = [body.decode() if isinstance(body, bytes) else body for body in bodies[start : start + 10]]
            self.client.send_message_batch(
                QueueUrl=self.url, Entries=[{"Id": str(n), "MessageBody": body} for n, body in enumerate(some)]
            )

    def left(self) -> int:
        """Messages that were not deleted, seen or not."""
        found = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])["Attributes"]
        return int(found["ApproximateNumberOfMessages"]) + int(found["ApproximateNumberOfMessagesNotVisible"])


@contextmanager
def running_queue(*, scale: float = 1.0, lose_deletes: int = 0) -> Iterator[RunningQueue]:
    command = [sys.executable, "-m", "tests.webhooks.sqs_service", "--scale", str(scale)]
    process = subprocess.Popen(
        [*command, "--lose-deletes", str(lose_deletes)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield RunningQueue(int(process.stdout.readline().split()[1]))
    finally:
        process.terminate()
        process.wait(timeout=10)
        if process.stdout is not None:
            process.stdout.close()
