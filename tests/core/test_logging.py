import io
import json
import logging
import logging.config
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from celery import shared_task, signals
from django.test import Client, RequestFactory
from structlog.testing import capture_logs

from amazonsender.core.enqueue import enqueue
from amazonsender.core.logging import RouteNotPath, logging_settings


@pytest.fixture
def json_lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What a server would write: its own formatter on a handler beside pytest's."""
    config = logging_settings(level="INFO", style="json")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.config.DictConfigurator(config).configure_formatter(config["formatters"]["event"]))
    logging.getLogger().addHandler(handler)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logging.getLogger().removeHandler(handler)


def test_events_are_json_with_time_level_and_fields(json_lines: Any) -> None:
    structlog.get_logger("delivery.engine").info("delivery.sent", mailout=7, count=50)

    (event,) = json_lines()
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "delivery.sent",
        "level": "info",
        "logger": "delivery.engine",
        "mailout": 7,
        "count": 50,
    }


def test_records_of_libraries_come_out_alike(json_lines: Any) -> None:
    logging.getLogger("some.library").warning("disk %s", "full")

    (event,) = json_lines()
    assert (event["event"], event["level"], event["logger"]) == ("disk full", "warning", "some.library")


def test_a_traceback_does_not_show_local_variables(json_lines: Any) -> None:
    def work(token: str) -> int:
        return int(token[0])

    try:
        work("hunter2")
    except ValueError:
        structlog.get_logger("x").exception("job.failed")

    (event,) = json_lines()
    assert "ValueError: invalid literal" in event["exception"]
    assert "return int(token[0])" in event["exception"]
    assert event["exception"].count("hunter2") == 1  # where the source calls it, not the value of `token`


def test_secrets_and_addresses_are_blanked(json_lines: Any) -> None:
    structlog.get_logger("x").info(
        "import.failed", token="abc", password="p", error="<ann@acme.example>: mailbox full, see bob@acme.example"
    )

    (event,) = json_lines()
    assert event["token"] == event["password"] == "[redacted]"
    assert event["error"] == "<[redacted]>: mailbox full, see [redacted]"


def test_a_workers_name_is_not_taken_for_an_address(json_lines: Any) -> None:
    host = socket.gethostname()
    structlog.get_logger("x").info(
        f"send@{host} ready.", worker=f"celery@{host}", addresses=f"send@mail.example, ann@{host}, send@{host}.example"
    )

    (event,) = json_lines()
    assert event["event"] == f"send@{host} ready."
    assert event["worker"] == f"celery@{host}"
    assert event["addresses"] == "[redacted], [redacted], [redacted]"


@pytest.mark.parametrize(
    "name", ["celery@myhost", "bench-send@myhost", "work2@build_box-1", "mail.send@myhost", "worker@ip-10-0-0-1"]
)
def test_a_worker_of_another_machine_is_named_too(json_lines: Any, name: str) -> None:
    structlog.get_logger("x").info(f"missed heartbeat from {name}.", worker=name)

    (event,) = json_lines()
    assert (event["event"], event["worker"]) == (f"missed heartbeat from {name}.", name)


@pytest.mark.parametrize(
    "address", ["celery@myhost.example", "send@mail.example", "ann@myhost", "resend@gmail.com", "send@[10.0.0.1]"]
)
def test_what_may_be_a_persons_address_is_blanked(json_lines: Any, address: str) -> None:
    structlog.get_logger("x").info("import.failed", error=f"mailbox full: {address}")

    (event,) = json_lines()
    assert event["error"] == "mailbox full: [redacted]"


def test_djangos_own_lines_about_a_request_name_the_route_and_no_token(rf: RequestFactory, client: Client) -> None:
    request = rf.get("/sign-in/a-secret-token/")
    request.resolver_match = client.get("/sign-in/a-secret-token/").resolver_match
    record = logging.LogRecord(
        "django.request", logging.ERROR, "", 0, "Internal Server Error: %s", (request.path,), None
    )
    record.__dict__.update(request=request, status_code=500)

    assert RouteNotPath().filter(record) is True

    assert record.getMessage() == "http.error"
    assert record.__dict__["route"] == "sign-in/<str:token>/"


def test_djangos_lines_about_refused_requests_are_left_to_the_access_event(rf: RequestFactory) -> None:
    record = logging.LogRecord("django.request", logging.WARNING, "", 0, "Not Found: %s", ("/o/token",), None)
    record.__dict__.update(request=rf.get("/o/token"), status_code=404)

    assert RouteNotPath().filter(record) is False


@shared_task(name="tests.add")
def add(a: int, b: int) -> int:
    structlog.get_logger("x").info("adding", sum=a + b)
    return a + b


def test_a_task_is_one_event_with_its_state_and_its_own_events_carry_its_name() -> None:
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as events:
        result = add.apply(args=(1, 2))

    assert [(event["event"], event["task"], event["task_id"]) for event in events] == [
        ("adding", "tests.add", result.id),
        ("task.finished", "tests.add", result.id),
    ]
    assert (events[1]["state"], events[1]["log_level"]) == ("SUCCESS", "debug")
    assert structlog.contextvars.get_contextvars() == {}


def test_a_task_that_fails_is_an_error() -> None:
    with capture_logs() as events:
        add.apply(args=(1, "x"))

    assert [(event["event"], event["log_level"]) for event in events] == [
        ("task.failed", "error"),
        ("task.finished", "debug"),
    ]
    assert events[0]["error"] == "TypeError"


def test_celery_does_not_set_up_logging_of_its_own() -> None:
    assert signals.setup_logging.receivers


def test_contents_secrets_and_addresses_are_blanked_however_deep_they_stand(json_lines: Any) -> None:
    structlog.get_logger("x").info(
        "hook.failed",
        detail={"to": ["ann@acme.example"], "ann@acme.example": 1, "headers": {"Authorization": "Bearer x"}},
        body="<p>Dear Ann</p>",
        query="q=ann%40acme.example",
        raw=b"ann@acme.example",
        count=3,
    )

    (event,) = json_lines()
    assert event["detail"] == {"to": ["[redacted]"], "[redacted]": 1, "headers": {"Authorization": "[redacted]"}}
    assert (event["body"], event["query"]) == ("[redacted]", "q=[redacted]")
    assert (event["raw"], event["count"]) == ("[16 bytes]", 3)


@pytest.mark.parametrize("style", ["json", "console"])
def test_an_address_that_an_error_quotes_is_blanked(style: str) -> None:
    config = logging_settings(level="INFO", style=style)
    formatter = logging.config.DictConfigurator(config).configure_formatter(config["formatters"]["event"])
    error = ValueError("Key (address_key)=(ann@acme.example) already exists.")
    record = logging.LogRecord("x", logging.ERROR, "", 0, "failed", (), (ValueError, error, None))

    written = formatter.format(record)

    assert "ValueError: Key (address_key)=([redacted]) already exists." in written
    assert "ann@" not in written


@pytest.mark.django_db(transaction=True)
def test_a_requests_id_follows_its_work_into_tasks_and_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(add, "apply_async", lambda args, **options: sent.append(options))
    structlog.contextvars.bind_contextvars(request_id="r-1", organization=7, unrelated="x")
    enqueue(add, 1, 2)
    structlog.contextvars.clear_contextvars()
    enqueue(add, 1, 2)
    monkeypatch.undo()

    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as events:
        add.apply(args=(1, 2), headers=sent[0]["headers"])

    assert [one["headers"] for one in sent] == [{"correlation": {"request_id": "r-1", "organization": "7"}}, {}]
    assert [(event["request_id"], event["organization"]) for event in events] == [("r-1", "7")] * 2
