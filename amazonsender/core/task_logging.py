"""One event per task run, in the same log as everything else; and workers that refuse a wrong configuration."""

from __future__ import annotations

import logging.config
import time
from contextlib import AbstractContextManager
from typing import Any

import structlog
from celery import Task, signals
from django.conf import settings

from amazonsender.core import figures, tracing
from amazonsender.core.correlation import bind_incoming
from amazonsender.core.logging import configure_structlog
from amazonsender.core.startup import refuse_wrong_configuration

logger = structlog.get_logger("celery.task")
_started: dict[str, float] = {}
_spans: dict[str, AbstractContextManager[None]] = {}


@signals.setup_logging.connect  # connecting at all keeps Celery from setting up its own
def use_our_logging(**_options: Any) -> None:
    logging.config.dictConfig(settings.LOGGING)
    configure_structlog()


@signals.worker_init.connect
@signals.beat_init.connect
def check_configuration(**_options: Any) -> None:
    refuse_wrong_configuration()


@signals.task_prerun.connect
def bind_task(task_id: str, task: Task[Any, Any], **_options: Any) -> None:
    """Put the task's name and id on every event that it logs."""
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(task=task.name, task_id=task_id)
    carried = bind_incoming(task)
    around = tracing.span(task.name, carried=carried)
    around.__enter__()
    _spans[task_id] = around
    _started[task_id] = time.perf_counter()


@signals.task_postrun.connect
def log_end(task_id: str, task: Task[Any, Any], state: str | None = None, **_options: Any) -> None:
    """Log state and milliseconds, at DEBUG: the periodic ones run every second and log what they did themselves."""
    if (around := _spans.pop(task_id, None)) is not None:
        around.__exit__(None, None, None)
    started = _started.pop(task_id, None)
    if started is not None:
        seconds = time.perf_counter() - started
        figures.observe_task(task.name, (state or "").lower(), seconds)
        logger.debug("task.finished", state=state or "", ms=round(seconds * 1000, 1))
    structlog.contextvars.clear_contextvars()


@signals.task_failure.connect
def log_failure(exception: BaseException, **_options: Any) -> None:
    logger.error("task.failed", error=type(exception).__name__, exc_info=exception)
