from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import structlog
from celery.signals import task_prerun
from django.test import Client
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pytest_django import Settings

from amazonsender.core import correlation, tracing
from tests.core.test_logging import add


@pytest.fixture
def collected(settings: Settings) -> Iterator[list[Any]]:
    """The spans that a collector on this machine was sent; complete after tracing.stop()."""
    spans: list[Any] = []

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                spans.extend(span for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_words: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.OTEL_EXPORTER_OTLP_ENDPOINT = f"http://127.0.0.1:{server.server_port}"
    settings.TRACE_SAMPLE_RATE = 1.0
    tracing.start()
    yield spans
    tracing.stop()
    server.shutdown()
    server.server_close()


def test_one_trace_goes_from_a_request_through_its_task_to_the_providers_call(collected: list[Any]) -> None:
    with tracing.span("http"):
        tracing.describe("POST send/", {"request_id": "r-1"})
        headers = correlation.outgoing_headers()
    seen = {}

    def send(task_id: str, task: Any, **_more: Any) -> None:
        seen["parent"] = tracing.outgoing()

    task_prerun.connect(send)
    try:
        add.apply(args=(1, 2), headers=headers)
    finally:
        task_prerun.disconnect(send)
    tracing.record_call(seen["parent"], "send ses", 0.25, {"mailout": 7})

    tracing.stop()

    by_name = {span.name: span for span in collected}
    request, task, call = by_name["POST send/"], by_name["tests.add"], by_name["send ses"]
    assert request.trace_id == task.trace_id == call.trace_id
    assert (task.parent_span_id, call.parent_span_id) == (request.span_id, task.span_id)
    assert call.end_time_unix_nano - call.start_time_unix_nano == 250_000_000
    assert structlog.contextvars.get_contextvars() == {}


def test_a_request_is_named_by_its_route_and_holds_no_token(collected: list[Any], client: Client) -> None:
    client.get("/o/a-secret-token.gif")

    tracing.stop()

    (span,) = collected
    assert span.name.startswith("GET ^o/")
    assert "a-secret-token" not in str(span)


def test_without_a_collector_nothing_is_made() -> None:
    tracing.start()

    with tracing.span("http"):
        tracing.describe("x", {})
        assert tracing.outgoing() == ""
        assert correlation.outgoing_headers() == {}
    tracing.record_call("", "send ses", 0.1, {})
    tracing.stop()
