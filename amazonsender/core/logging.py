"""Logs are events with fields: lines for people on a console, JSON for machines. Celery's go the same way."""

from __future__ import annotations

import logging
import re
import socket
import sys
from typing import Any, Final

import structlog
from structlog.typing import EventDict, Processor

REDACTED: Final = "[redacted]"
SECRET_FIELDS: Final = frozenset(
    {"password", "secret", "secret_key", "token", "authorization", "cookie", "api_key", "signature", "dsn"}
)
# What people wrote or were sent: never ours to keep in a log.
CONTENT_FIELDS: Final = frozenset({"body", "html", "text", "subject", "attributes", "email", "address", "recipients"})
STRUCTURE: Final = frozenset({"exc_info", "_record", "stack_info", "positional_args"})  # what later steps need as it is
ADDRESS: Final = re.compile(r"[^\s<>\"',;:=(]+(?:@|%40)[^\s<>\"',;:)]+")
# Celery's names for workers look like addresses: celery@machine, bench-send@machine. Nobody is mailed at a machine without a
# domain; of machines with one only our own is known. Any other name before the @ may be a person's, mistyped.
WORKER: Final = re.compile(
    rf"(?:[\w.-]+[.-])?(?:send|work|celery|gen)[\w-]*@(?:[A-Za-z0-9_-]+|{re.escape(socket.gethostname())})\.?", re.ASCII
)


def redact_secrets(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Blank what must never stand in a log, should somebody hand it over: secrets, contents, and addresses of people."""
    for name, value in event.items():
        if type(value) is not int and name not in STRUCTURE:
            event[name] = scrubbed(value, name)
    return event


def scrubbed(value: Any, name: str = "") -> Any:
    """The value of a field without secrets, contents and addresses, however deep they stand in it."""
    if isinstance(name, str) and name.lower() in SECRET_FIELDS | CONTENT_FIELDS and value:
        return REDACTED
    if isinstance(value, str):
        return ADDRESS.sub(_blank, value) if "@" in value or "%40" in value else value
    if isinstance(value, dict):
        return {
            scrubbed(key) if isinstance(key, str) else key: scrubbed(inner, str(key)) for key, inner in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [scrubbed(inner) for inner in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    return value


def redact_exception(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Blank addresses in a traceback: a database's error quotes the row that it refused."""
    if isinstance(event.get("exception"), str):
        event["exception"] = scrubbed(event["exception"])
    return event


def _blank(found: re.Match[str]) -> str:
    return found[0] if WORKER.fullmatch(found[0]) else REDACTED


SHARED: Final[list[Processor]] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    redact_secrets,
]


class RouteNotPath(logging.Filter):
    """Say the route's pattern in Django's own records about a request: paths of readers' pages hold tokens.

    Answers below 500 are dropped, since the access event tells them.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "status_code", 500) < 500:
            return False
        request = getattr(record, "request", None)
        match = getattr(request, "resolver_match", None)
        record.msg, record.args = "http.error", ()
        record.__dict__["route"] = match.route if match else ""
        return True


def logging_settings(*, level: str, style: str) -> dict[str, Any]:
    """Return Django's LOGGING for a style: "console" or "json"."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "event": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": [*SHARED, structlog.stdlib.ExtraAdder(allow=["route"])],
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(style)],
            }
        },
        "filters": {"route": {"()": RouteNotPath}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "event"}},
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            "django": {"level": "INFO"},
            "django.request": {"filters": ["route"]},
            "django.security.DisallowedHost": {"level": "CRITICAL"},  # scanners; the access event has the 400
            "django.server": {"handlers": [], "level": "ERROR"},
            # Their lines about each task are replaced by ours: see task_logging.
            "celery.app.trace": {"level": "CRITICAL"},
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.beat": {"level": "WARNING"},
            "django_celery_beat": {"level": "WARNING"},
            "kombu": {"level": "WARNING"},
            "urllib3": {"level": "WARNING"},
            "botocore": {"level": "WARNING"},
        },
    }


def configure_structlog() -> None:
    """Send structlog's events through the standard library, where levels and handlers are set."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _renderers(style: str) -> list[Processor]:
    # Without the local variables of each frame: they hold people's addresses and secrets.
    exceptions: list[Processor] = [structlog.processors.format_exc_info, redact_exception]
    if style == "json":
        return [*exceptions, structlog.processors.JSONRenderer(ensure_ascii=False)]
    return [
        *exceptions,
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=24
        ),
    ]
