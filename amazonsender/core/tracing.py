"""Traces from a click or an API call through its tasks to the provider's calls, where an exporter is set.

Without OTEL_EXPORTER_OTLP_ENDPOINT the packages aren't imported, and each of these functions is one comparison.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.conf import settings

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

NANOSECONDS = 1_000_000_000

_provider: TracerProvider | None = None
_tracer: Tracer | None = None


def start() -> None:
    """Export spans over OTLP/HTTP in the background; a forked process gets a thread of its own from the SDK."""
    global _provider, _tracer
    endpoint = settings.OTEL_EXPORTER_OTLP_ENDPOINT
    if not endpoint or _tracer is not None:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    resource = Resource.create({"service.name": "amazonsender", "deployment.environment": settings.ENVIRONMENT})
    sampler = ParentBased(TraceIdRatioBased(settings.TRACE_SAMPLE_RATE))
    _provider = TracerProvider(sampler=sampler, resource=resource)
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")))
    _tracer = _provider.get_tracer("amazonsender")


def stop() -> None:
    """Send what waits, and trace nothing any more."""
    global _provider, _tracer
    if _provider is not None:
        _provider.shutdown()
    _provider = _tracer = None


@contextmanager
def span(name: str, *, carried: str = "") -> Iterator[None]:
    """A span around some work, below the present one or the one that another process sent along."""
    if _tracer is None:
        yield
        return
    with _tracer.start_as_current_span(name, context=_context_of(carried), record_exception=False):
        yield


def describe(name: str, attributes: Mapping[str, Any]) -> None:
    """Name the present span and say what it was about: ids and routes, never addresses."""
    if _tracer is not None:
        from opentelemetry.trace import get_current_span

        get_current_span().update_name(name)
        get_current_span().set_attributes(attributes)


def outgoing() -> str:
    """The present span for another process, as a W3C traceparent; "" without one."""
    return "" if _tracer is None else _written(None)


def record_call(parent: str, name: str, seconds: float, attributes: Mapping[str, Any]) -> None:
    """A provider call that has just ended, in a thread that knows no span."""
    if _tracer is None:
        return
    now = time.time_ns()
    made = _tracer.start_span(
        name, context=_context_of(parent), start_time=now - int(seconds * NANOSECONDS), attributes=attributes
    )
    made.end(now)


class Shares:
    """What a slice does for each launch: a span below the launch's own, which links to the slice.

    So a trace is followed from its request to the provider's calls, also where the scheduler woke the slice; and the
    slice, which works for many launches, stays one trace of its own.
    """

    def __init__(self) -> None:
        self._spans: dict[str, tuple[Span, str]] = {}

    def parent(self, launch: str, name: str, attributes: Mapping[str, Any]) -> str:
        """The traceparent for calls of a launch; the present span's where they are of one trace, or the launch of none."""
        present = outgoing()
        if _tracer is None or not launch or _trace_id(launch) == _trace_id(present):
            return present
        if launch not in self._spans:
            from opentelemetry.trace import Link, get_current_span, set_span_in_context

            links = [Link(get_current_span().get_span_context())]
            made = _tracer.start_span(name, context=_context_of(launch), links=links, attributes=attributes)
            self._spans[launch] = made, _written(set_span_in_context(made))
        return self._spans[launch][1]

    def end(self) -> None:
        """End them with their slice."""
        for made, _text in self._spans.values():
            made.end()
        self._spans.clear()


def _trace_id(traceparent: str) -> str:
    return traceparent[3:35]


def _written(context: Context | None) -> str:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier, context)
    return carrier.get("traceparent", "")


def _context_of(carried: str) -> Context | None:
    if not carried:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": carried})
