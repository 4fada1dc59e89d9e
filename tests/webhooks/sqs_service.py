"""Amazon SQS as a program: `python -m tests.webhooks.sqs_service PORT [--scale 0.02] [--lose-deletes N]`.

Its JSON protocol, as far as reading and filling a queue takes: SendMessageBatch, ReceiveMessage with long polling and a
visibility timeout, DeleteMessageBatch, GetQueueAttributes. botocore's client is what its answers are tried with.
--scale: how long a second of a visibility timeout is, so that what a killed reader held comes back soon.
--lose-deletes: each Nth entry of a deletion fails, as SQS says that entries may.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import itertools
import sys
import time
import uuid
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import md5
from typing import Any

import orjson

from localses.errors import ServiceError
from localses.sigv4 import SignedRequest, verify

ACCESS_KEY, SECRET_KEY = "localses", "localses-secret"
Json = dict[str, Any]


class RefusedError(Exception):
    def __init__(self, kind: str, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.kind, self.status = kind, status


class Queue:
    def __init__(self, scale: float, lose_deletes: int) -> None:
        self.scale, self.lose_deletes = scale, lose_deletes
        self.bodies: dict[str, str] = {}
        self.received: dict[str, int] = {}
        self.handles: dict[str, str] = {}
        self.visible: deque[str] = deque()
        self.hidden: list[tuple[float, str, str]] = []
        self.latest: dict[str, str] = {}
        self.numbers, self.deletions = itertools.count(1), itertools.count(1)
        self.arrived = asyncio.Event()

    def send(self, body: str) -> str:
        message_id = str(uuid.uuid4())
        self.bodies[message_id] = body
        self.visible.append(message_id)
        self.arrived.set()
        return message_id

    def bring_back(self) -> None:
        """What was hidden long enough is seen again."""
        now = time.monotonic()
        while self.hidden and self.hidden[0][0] <= now:
            _, message_id, handle = heapq.heappop(self.hidden)
            if message_id in self.bodies and self.latest.get(message_id) == handle:
                self.visible.append(message_id)

    def take(self, most: int, visibility_seconds: float) -> list[Json]:
        self.bring_back()
        taken: list[Json] = []
        while self.visible and len(taken) < most:
            message_id = self.visible.popleft()
            if message_id not in self.bodies:
                continue
            handle = f"handle-{next(self.numbers)}"
            self.handles[handle] = message_id
            self.latest[message_id] = handle
            self.received[message_id] = self.received.get(message_id, 0) + 1
            heapq.heappush(self.hidden, (time.monotonic() + visibility_seconds * self.scale, message_id, handle))
            body = self.bodies[message_id]
            digest = md5(body.encode(), usedforsecurity=False).hexdigest()
            taken.append({"MessageId": message_id, "ReceiptHandle": handle, "MD5OfBody": digest, "Body": body})
        return taken

    async def receive(self, parameters: Json) -> Json:
        deadline = time.monotonic() + parameters.get("WaitTimeSeconds", 0)
        while True:
            taken = self.take(parameters.get("MaxNumberOfMessages", 1), parameters.get("VisibilityTimeout", 30))
            if taken or (left := deadline - time.monotonic()) <= 0:
                return {"Messages": taken} if taken else {}
            self.arrived.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.arrived.wait(), min(left, 0.05))

    def delete(self, entries: list[Json]) -> Json:
        if not 1 <= len(entries) <= 10:
            raise RefusedError("com.amazonaws.sqs#TooManyEntriesInBatchRequest", "1 to 10 entries.")
        done, failed = [], []
        for entry in entries:
            message_id = self.handles.get(entry["ReceiptHandle"])
            if message_id is None:
                failed.append({"Id": entry["Id"], "SenderFault": True, "Code": "ReceiptHandleIsInvalid"})
            elif self.lose_deletes and next(self.deletions) % self.lose_deletes == 0:
                failed.append({"Id": entry["Id"], "SenderFault": False, "Code": "InternalError"})
            else:
                self.bodies.pop(message_id, None)
                done.append({"Id": entry["Id"]})
        return {"Successful": done, "Failed": failed}

    def attributes(self, url: str) -> Json:
        self.bring_back()
        account, name = url.rsplit("/", 2)[1:]
        visible = sum(message_id in self.bodies for message_id in self.visible)
        return {
            "Attributes": {
                "QueueArn": f"arn:aws:sqs:us-east-1:{account}:{name}",
                "ApproximateNumberOfMessages": str(visible),
                "ApproximateNumberOfMessagesNotVisible": str(len(self.bodies) - visible),
                "VisibilityTimeout": "30",
            }
        }

    async def answer(self, operation: str, parameters: Json) -> Json:
        if operation == "ReceiveMessage":
            return await self.receive(parameters)
        if operation == "DeleteMessageBatch":
            return self.delete(parameters["Entries"])
        if operation == "GetQueueAttributes":
            return self.attributes(parameters["QueueUrl"])
        if operation == "SendMessageBatch":
            done = [
                {
                    "Id": entry["Id"],
                    "MessageId": self.send(entry["MessageBody"]),
                    "MD5OfMessageBody": md5(entry["MessageBody"].encode(), usedforsecurity=False).hexdigest(),
                }
                for entry in parameters["Entries"]
            ]
            return {"Successful": done, "Failed": []}
        raise RefusedError("com.amazonaws.sqs#UnsupportedOperation", operation)


async def serve(queue: Queue, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            line, *lines = head[:-4].decode("latin-1").split("\r\n")
            method, path, _ = line.split(" ", 2)
            headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            status = 200
            document: Json
            try:
                request = SignedRequest(method, path, "", headers, body)
                verify(request, access_key=ACCESS_KEY, secret_key=SECRET_KEY, service="sqs", now=datetime.now(UTC))
                operation = headers["x-amz-target"].removeprefix("AmazonSQS.")
                document = await queue.answer(operation, orjson.loads(body))
            except RefusedError as error:
                status, document = error.status, {"__type": error.kind, "message": str(error)}
            except ServiceError as error:
                status, document = error.status, {"__type": error.code, "message": str(error)}
            answer = orjson.dumps(document)
            writer.write(
                b"HTTP/1.1 %d OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n%b"
                % (status, len(answer), answer)
            )
            await writer.drain()
    except ConnectionError:
        return
    finally:
        writer.close()


async def run(port: int, scale: float, lose_deletes: int) -> None:
    queue = Queue(scale, lose_deletes)
    server = await asyncio.start_server(lambda r, w: serve(queue, r, w), "127.0.0.1", port, limit=1 << 24)
    sys.stdout.write(f"listening {server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int, nargs="?", default=0)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--lose-deletes", type=int, default=0)
    given = parser.parse_args()
    asyncio.run(run(given.port, given.scale, given.lose_deletes))
