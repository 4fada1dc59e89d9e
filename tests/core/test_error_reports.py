from __future__ import annotations

import gzip
import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import brotli  # type: ignore[import-untyped]  # it has no stubs
import pytest
import sentry_sdk

from amazonsender.core import error_reports
from amazonsender.core.error_reports import Crowd, start_error_reports, without_people

ADDRESS = "ann@acme.example"


class Received:
    """What a Sentry on this machine was sent, as raw envelopes."""

    def __init__(self) -> None:
        self.envelopes: list[str] = []

    def events(self) -> list[dict[str, Any]]:
        """The errors among it; asks the SDK to send what waits."""
        sentry_sdk.flush(timeout=5)
        lines = [line for envelope in self.envelopes for line in envelope.splitlines()]
        parsed = [json.loads(line) for line in lines]
        return [one for one in parsed if "exception" in one or "logentry" in one]


@pytest.fixture
def sentry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Received]:
    received = Received()

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            unpack = {"gzip": gzip.decompress, "br": brotli.decompress}[self.headers["Content-Encoding"]]
            received.envelopes.append(unpack(body).decode())
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_words: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(error_reports, "crowd", Crowd())
    start_error_reports(dsn=f"http://key@127.0.0.1:{server.server_port}/1", environment="test")
    yield received
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)
    server.shutdown()
    server.server_close()


def test_without_a_dsn_nothing_is_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentry_sdk, "init", lambda **options: pytest.fail("set up"))

    start_error_reports(dsn="", environment="test")


def test_a_report_has_the_failure_and_nothing_of_a_person(sentry: Received) -> None:
    def work(secret: str, body: str) -> None:
        raise ValueError(f"Key (address_key)=({ADDRESS}) already exists; ann%40acme.example")

    try:
        work("x" + "hunter2"[1:], "<p>Dear Ann</p>")
    except ValueError as error:
        sentry_sdk.capture_exception(error)

    (event,) = sentry.events()
    exception = event["exception"]["values"][0]
    assert exception["type"] == "ValueError"
    assert "already exists" in exception["value"]
    assert not any("vars" in frame for frame in exception["stacktrace"]["frames"])
    assert event["environment"] == "test"
    assert not any(word in "".join(sentry.envelopes) for word in (ADDRESS, "ann%40acme", "xunter2"))


def test_an_error_that_is_logged_is_reported_without_its_contents(sentry: Received) -> None:
    logging.getLogger("delivery.engine").error("could not be read: %s", ADDRESS, extra={"body": "Dear Ann"})
    logging.getLogger("delivery.engine").warning("no error")

    (event,) = sentry.events()
    assert event["logger"] == "delivery.engine"
    assert ADDRESS not in "".join(sentry.envelopes)
    assert "Dear Ann" not in "".join(sentry.envelopes)


def test_an_outage_is_ten_reports_a_minute_and_another_error_still_comes_through(sentry: Received) -> None:
    for _ in range(40):
        sentry_sdk.capture_exception(ConnectionError("gone"))
    sentry_sdk.capture_exception(ValueError("other"))

    kinds = [event["exception"]["values"][0]["type"] for event in sentry.events()]

    assert (kinds.count("ConnectionError"), kinds.count("ValueError")) == (10, 1)


def test_after_a_minute_the_kind_is_reported_again() -> None:
    crowd = Crowd()

    assert [crowd.admits("x", now) for now in [100.0] * 11 + [161.0]] == [True] * 10 + [False, True]


def test_nothing_of_the_hot_path_is_patched(sentry: Received) -> None:
    names = set(sentry_sdk.get_client().integrations)

    assert names == {"atexit", "celery", "dedupe", "django", "excepthook", "logging", "threading"}


def test_arguments_of_a_task_stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_reports, "crowd", Crowd())
    event: Any = {"extra": {"celery-job": {"task_name": "x", "args": [1], "kwargs": {"a": 1}}}}

    assert without_people(event, {}) == {"extra": {"celery-job": {"task_name": "x"}}}


def test_a_report_does_not_hold_the_readers_address_or_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_reports, "crowd", Crowd())
    event: Any = {"request": {"url": "https://mail.example/u/token"}, "user": {"ip_address": "x"}, "transaction": "/u/"}

    assert without_people(event, {}) == {"transaction": "/u/"}
