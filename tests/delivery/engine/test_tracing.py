"""A launch's trace goes on in every slice that works for it, whoever woke that slice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

from amazonsender.core import tracing
from delivery.models import Mailout
from delivery.services.trial import send_test
from tests.delivery.engine.world import World

REQUEST = "5f2b8c4e9a7d4f60b1c2d3e4f5a6b7c8"


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    yield exporter
    provider.shutdown()


def launch_by_click(world: World, key: str = "campaign:1") -> Mailout:
    with structlog.contextvars.bound_contextvars(request_id=REQUEST), tracing.span("click"):
        return world.launch(key)


def trace_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.trace_id)


def is_below(span: ReadableSpan, parent: ReadableSpan) -> bool:
    return span.parent is not None and parent.context is not None and span.parent.span_id == parent.context.span_id


def spans_of(exported: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exported.get_finished_spans() if span.name == name]


def test_calls_of_a_slice_that_the_scheduler_woke_are_in_the_trace_of_the_click(
    world: World, exported: InMemorySpanExporter
) -> None:
    world.add_people(120)
    mailout = launch_by_click(world)

    with tracing.span("delivery.tasks.run_slice"), capture_logs() as lines:
        world.run()

    (click,), (task,) = spans_of(exported, "click"), spans_of(exported, "delivery.tasks.run_slice")
    (share,) = spans_of(exported, "slice")
    calls = spans_of(exported, f"send {world.provider.name}")
    assert is_below(share, click)
    assert [link.context.span_id for link in share.links] == [task.context and task.context.span_id]
    assert len(calls) >= 3
    assert all(is_below(call, share) and trace_of(call) == trace_of(click) for call in calls)
    assert trace_of(task) != trace_of(click)
    assert {span.attributes and span.attributes["mailout"] for span in [share, *calls]} == {mailout.pk}
    assert {line["request_id"] for line in lines if line["event"] == "delivery.call"} == {REQUEST}


def test_one_slice_keeps_two_launches_apart_and_a_later_one_has_a_share_of_its_own(
    world: World, exported: InMemorySpanExporter
) -> None:
    world.add_people(30)
    launched = [launch_by_click(world, "campaign:1"), launch_by_click(world, "campaign:2")]
    with tracing.span("first"):
        world.run()
    world.add_people(30, start=100)
    launched.append(launch_by_click(world, "campaign:3"))

    with tracing.span("second"):
        world.run()

    clicks = spans_of(exported, "click")
    by_mailout = {click_trace: mailout.pk for click_trace, mailout in zip(map(trace_of, clicks), launched, strict=True)}
    for span in [*spans_of(exported, "slice"), *spans_of(exported, f"send {world.provider.name}")]:
        assert span.attributes is not None
        assert by_mailout[trace_of(span)] == span.attributes["mailout"]
    assert len(spans_of(exported, "slice")) == 3


def test_a_slice_that_the_click_woke_itself_has_its_calls_right_below(
    world: World, exported: InMemorySpanExporter
) -> None:
    world.add_people(3)
    mailout = launch_by_click(world)

    with tracing.span("delivery.tasks.run_slice", carried=mailout.traceparent):
        world.run()

    (task,) = spans_of(exported, "delivery.tasks.run_slice")
    assert all(is_below(call, task) for call in spans_of(exported, f"send {world.provider.name}"))
    assert spans_of(exported, "slice") == []


def test_what_was_launched_without_a_trace_stands_below_its_slice(world: World, exported: InMemorySpanExporter) -> None:
    world.add_people(3)
    world.launch()

    with tracing.span("delivery.tasks.run_slice"):
        world.run()

    (task,) = spans_of(exported, "delivery.tasks.run_slice")
    (call,) = spans_of(exported, f"send {world.provider.name}")
    assert is_below(call, task)


def test_without_an_exporter_a_launch_keeps_its_request_alone(world: World) -> None:
    world.add_people(3)

    with structlog.contextvars.bound_contextvars(request_id=REQUEST):
        mailout = world.launch()
        trial = send_test(
            organization=world.organization,
            account=world.account,
            compiled=world.compiled,
            recipients=["one@acme.example"],
            preview_subscriber=None,
            name="Test",
            sender="News <news@example.com>",
        )
    world.run()

    kept = Mailout.objects.filter(pk__in=[mailout.pk, trial.pk]).values_list("traceparent", "request_id")
    assert list(kept) == [("", REQUEST), ("", REQUEST)]


def test_a_request_id_that_is_too_long_is_cut(world: World) -> None:
    world.add_people(1)

    with structlog.contextvars.bound_contextvars(request_id="r" * 100):
        assert world.launch().request_id == "r" * 64
