from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
from django.test import RequestFactory
from sentry_sdk.transport import Transport

from amazonsender.core.error_reports import start_error_reports, without_people


class Kept(Transport):
    """Keeps the reports instead of sending them."""

    def __init__(self, options: dict[str, Any] | None = None) -> None:
        super().__init__(options)
        self.events: list[Any] = []

    def capture_envelope(self, envelope: Any) -> None:
        self.events += [item.payload.json for item in envelope.items if item.payload.json]


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    transport = Kept()
    init = sentry_sdk.init
    monkeypatch.setattr(
        sentry_sdk, "init", lambda **options: init(transport=transport, default_integrations=False, **options)
    )
    start_error_reports(dsn="https://key@sentry.example/1", environment="test")
    yield transport.events
    sentry_sdk.get_global_scope().set_client(None)


def test_without_a_dsn_nothing_is_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentry_sdk, "init", lambda **options: pytest.fail("set up"))

    start_error_reports(dsn="", environment="test")


def test_a_report_has_the_failure_and_no_variables(reports: list[Any]) -> None:
    def work(secret: str) -> int:
        return int(secret)

    try:
        work("x" + "hunter2"[1:])
    except ValueError as error:
        sentry_sdk.capture_exception(error)

    (event,) = reports
    exception = event["exception"]["values"][0]
    assert exception["type"] == "ValueError"
    assert not any("vars" in frame for frame in exception["stacktrace"]["frames"])
    assert event["environment"] == "test"


def test_a_report_does_not_hold_the_readers_address_or_token(rf: RequestFactory) -> None:
    event: Any = {"request": {"url": "https://mail.example/u/token"}, "user": {"ip_address": "x"}, "transaction": "/u/"}

    assert without_people(event, {}) == {"transaction": "/u/"}
