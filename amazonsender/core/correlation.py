"""What a log line belongs to, carried from process to process: a request's id and organization go along with its tasks."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import structlog
from celery import Task

from amazonsender.core import tracing

HEADER: Final = "correlation"
CARRIED: Final = ("request_id", "organization", "mailout")
TRACE: Final = "traceparent"
LONGEST: Final = 64


class Origin(NamedTuple):
    """Where work began: the W3C traceparent of its span and the id of its request, "" where there is none."""

    traceparent: str
    request_id: str


def origin() -> Origin:
    """Where the present work began, to be kept with what goes on long after it, whoever wakes it then."""
    request_id = structlog.contextvars.get_contextvars().get("request_id", "")
    return Origin(tracing.outgoing(), str(request_id)[:LONGEST])


def outgoing_headers() -> dict[str, Any]:
    """Headers for a task that is enqueued now; a task's own go on to those that it enqueues."""
    context = structlog.contextvars.get_contextvars()
    carried = {name: str(context[name]) for name in CARRIED if context.get(name)}
    if trace := tracing.outgoing():
        carried[TRACE] = trace
    return {HEADER: carried} if carried else {}


def bind_incoming(task: Task[Any, Any]) -> str:
    """Put what came along with a task on every event that it logs; return the span that sent it, or ""."""
    carried = task.request.get(HEADER) or (task.request.headers or {}).get(HEADER)  # the latter without a broker
    if isinstance(carried, dict):
        known = {name: str(carried[name])[:LONGEST] for name in CARRIED if name in carried}
        structlog.contextvars.bind_contextvars(**known)
        return str(carried.get(TRACE, ""))[:LONGEST]
    return ""
