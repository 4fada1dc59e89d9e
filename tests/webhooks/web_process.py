"""A real web process on the test's database, as an installation runs it, and what is sent to it."""

from __future__ import annotations

import base64
import http.client
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import orjson

from tests.benchmarks.harness import kill, start_web
from tests.databases import database_url
from tests.webhooks.signer import Signer

STREAM = "arn:aws:firehose:us-east-1:000000000000:deliverystream/ses"
TOPIC = "arn:aws:sns:us-east-1:000000000000:acme-events"
KEY = "k" * 40
TEXT = "text/plain; charset=UTF-8"
signer = Signer()


class Web:
    """A web process that is started anew on the same settings after each kill."""

    def __init__(self, folder: Path, **settings: str) -> None:
        certificate = folder / "certificate.pem"
        certificate.write_bytes(signer.certificate_pem)
        self._env = os.environ | {
            "DATABASE_URL": database_url(),
            "FIREHOSE_ACCESS_KEYS": KEY,
            "LOCALSES_URL": "http://127.0.0.1:1",
            "LOCALSES_CERTIFICATE": str(certificate),
            **settings,
        }
        self.process: subprocess.Popen[bytes]
        self.port = 0
        self.start()

    def start(self) -> None:
        self.process, self.port = start_web(self._env)

    def kill(self) -> None:
        """With its worker, which is what answers and would go on alone."""
        kill([self.process])
        self.process.wait()

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> int:
        """The answer's status, 0 when there was none."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            client.request("POST", path, body, {"Host": "localhost"} | headers)
            return client.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            client.close()

    def get(self, path: str) -> int:
        """The answer's status."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        client.request("GET", path, headers={"Host": "localhost"})
        status = client.getresponse().status
        client.close()
        return status

    def post_in_chunks(self, path: str, chunks: Iterator[bytes], headers: dict[str, str]) -> int:
        """Likewise with a body whose length isn't told; whoever answers early may hang up on the rest."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            try:
                client.request("POST", path, chunks, {"Host": "localhost"} | headers, encode_chunked=True)
            except (BrokenPipeError, ConnectionResetError):
                if client.sock is None:
                    return 0
            return client.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            client.close()

    def begin(self, path: str, headers: dict[str, str], *, length: int, sent: bytes = b"") -> socket.socket:
        """Send the head of a request and the beginning of its body."""
        connected = socket.create_connection(("127.0.0.1", self.port))
        lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {length}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        connected.sendall("\r\n".join([*lines, "", ""]).encode() + sent)
        return connected


def firehose_headers(request_id: str, **changes: str) -> dict[str, str]:
    given = {
        "Content-Type": "application/json",
        "X-Amz-Firehose-Request-Id": request_id,
        "X-Amz-Firehose-Source-Arn": STREAM,
        "X-Amz-Firehose-Access-Key": KEY,
    }
    return given | changes


def firehose_body(request_id: str, *documents: object) -> bytes:
    """A delivery; a document that is bytes is a record as it stands."""
    contents = [document if isinstance(document, bytes) else orjson.dumps(document) for document in documents]
    records = [{"data": base64.b64encode(content).decode()} for content in contents]
    return orjson.dumps({"requestId": request_id, "timestamp": 1, "records": records})
