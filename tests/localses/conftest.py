"""Local SES once per test process, and its desk without any process."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import time_machine
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from localses import store
from localses.api import OPERATIONS, Held, SesDoor
from localses.config import Config, Settings
from localses.desk import Desk, open_desk
from localses.envelopes import Signer
from localses.limits import RateBucket
from localses.sigv4 import SignedRequest
from tests.localses.running import Json, Running, Subscriber, free_port, start, stop, subscriber

_names = itertools.count()


@pytest.fixture(scope="session")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = start(
        tmp_path_factory.mktemp("localses"), free_port(), LOCALSES_IDENTITIES="example.com", LOCALSES_SEED="tests"
    )
    yield running
    stop(running)
    assert running.process.returncode == 0


@pytest.fixture
def running(process: Running) -> Iterator[Running]:
    """The shared process, with its own settings, without messages and faults."""
    before = process.get("/_localses/settings").json()
    assert process.http.delete(f"{process.url}/_localses/messages").status_code == 204
    yield process
    process.settings(**before)
    process.faults()


@pytest.fixture
def listener() -> Iterator[Subscriber]:
    with subscriber() as kept:
        yield kept


@pytest.fixture
def name() -> str:
    """A name that no other test of this process uses."""
    return f"name-{next(_names)}"


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Door:
    """Signs calls as botocore does and hands them to the desk's door, without any HTTP between."""

    def __init__(self, desk: Desk, clock: Clock) -> None:
        self.desk = desk
        self.clock = clock
        self._door = SesDoor(desk)

    def call(self, method: str, path: str, body: Json | None = None) -> tuple[int, Json]:
        payload = json.dumps(body).encode() if body is not None else b""
        request = signed(method, path, payload, at=self.clock.now)
        answer = self._door.answer(request)
        assert not isinstance(answer, Held)
        return answer.status, json.loads(answer.body)

    def bulk(self, entries: list[Json], **params: Any) -> tuple[int, Json]:
        return self.call("POST", "/v2/email/outbound-bulk-emails", bulk(entries, **params))

    def send(self, **params: Any) -> tuple[int, Json]:
        return self.call("POST", "/v2/email/outbound-emails", simple(**params))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.desk.store.db.execute(sql)]


def signed(
    method: str, url: str, body: bytes = b"", *, at: float, key: str = "localses", secret: str = "localses-secret",
    service: str = "ses", region: str = "us-east-1",
) -> SignedRequest:  # fmt: skip
    """Sign a request with botocore's own signer at a moment."""
    host = "127.0.0.1:8025"
    request = AWSRequest(method, f"http://{host}{url}", data=body, headers={"Content-Type": "application/json"})
    with time_machine.travel(datetime.fromtimestamp(at, UTC), tick=False):
        SigV4Auth(Credentials(key, secret), service, region).add_auth(request)
    path, _, query = url.partition("?")
    headers = {name.lower(): value for name, value in request.headers.items()} | {"host": host}
    return SignedRequest(method, path, query, headers, body)


TEMPLATE = {"Subject": "Hello {{name}}", "Html": "<p>Dear {{name}}</p>", "Text": "Dear {{name}}"}


def entry(address: str, data: Json | str | None = None, **more: Any) -> Json:
    """A destination of a bulk call with its replacement data."""
    text = data if isinstance(data, str) else json.dumps({"name": "Ana"} if data is None else data)
    return {
        "Destination": {"ToAddresses": [address]},
        "ReplacementEmailContent": {"ReplacementTemplate": {"ReplacementTemplateData": text}},
        **more,
    }


def bulk(entries: list[Json], *, template: Json | None = None, **params: Any) -> Json:
    """The parameters of SendBulkEmail."""
    content = {"TemplateContent": TEMPLATE, "TemplateData": "{}"} if template is None else template
    return {
        "FromEmailAddress": "News <news@example.com>",
        "DefaultContent": {"Template": content},
        "BulkEmailEntries": entries,
        **params,
    }


def simple(**params: Any) -> Json:
    """The parameters of SendEmail with a simple text."""
    return {
        "FromEmailAddress": "news@example.com",
        "Destination": {"ToAddresses": ["ana@example.org"]},
        "Content": {"Simple": {"Subject": {"Data": "Hello"}, "Body": {"Text": {"Data": "Dear Ana"}}}},
        **params,
    }


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a signing key, which takes long to make."""
    folder = tmp_path_factory.mktemp("key")
    Signer(folder, "http://127.0.0.1:8025")
    return folder


@pytest.fixture
def door(tmp_path: Path, key: Path, clock: Clock) -> Iterator[Door]:
    for name in ("key.pem", "certificate.pem"):
        shutil.copy(key / name, tmp_path / name)
    config = Config(tmp_path, "http://127.0.0.1:8025", "localses", "localses-secret", "seed", ("example.com",))
    desk = open_desk(config, Settings(), frozenset(OPERATIONS))
    desk.clock = clock
    desk.bucket = RateBucket(desk.settings, clock)
    yield Door(desk, clock)
    desk.store.close()


def stored(door: Door, number: int = 1) -> store.StoredMessage:
    message = store.message(door.desk.store.db, number)
    assert message is not None
    return message
