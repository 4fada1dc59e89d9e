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
    from opentelemetry.trace import Tracer

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
    if _tracer is None:
        return ""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent", "")


def record_call(parent: str, name: str, seconds: float, attributes: Mapping[str, Any]) -> None:
    """A provider call that has just ended, in a thread that knows no span."""
    if _tracer is None:
        return
    now = time.time_ns()
    made = _tracer.start_span(
        name, context=_context_of(parent), start_time=now - int(seconds * NANOSECONDS), attributes=attributes
    )
    made.end(now)


def _context_of(carried: str) -> Context | None:
    if not carried:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": carried})
