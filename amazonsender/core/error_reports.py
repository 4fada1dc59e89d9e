"""Error reports to Sentry, where a DSN is set: the failure, and nothing of the people it happened to.

Only failures are reported, no spans and no breadcrumbs, and the SDK's patches of HTTP clients, Redis and processes stay
away: what goes well costs nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import sentry_sdk

from amazonsender.core.logging import scrubbed

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint

MINUTE: Final = 60.0
SAME_PER_MINUTE: Final = 10  # of one kind and process: an outage is one finding, not a hundred thousand
KINDS: Final = 200


def start_error_reports(*, dsn: str, environment: str, sample_rate: float = 1.0) -> None:
    """Send unhandled errors, and those that are logged as such, of web and workers; do nothing where the DSN is empty."""
    if not dsn:
        return
    from sentry_sdk.integrations.atexit import AtexitIntegration
    from sentry_sdk.integrations.celery import CeleryIntegration
    from sentry_sdk.integrations.dedupe import DedupeIntegration
    from sentry_sdk.integrations.django import DjangoIntegration
    from sentry_sdk.integrations.excepthook import ExcepthookIntegration
    from sentry_sdk.integrations.logging import LoggingIntegration
    from sentry_sdk.integrations.threading import ThreadingIntegration

    sentry_sdk.init(
        dsn=dsn,
        environment=environment,
        sample_rate=sample_rate,
        include_local_variables=False,  # they hold addresses and secrets
        include_source_context=True,
        max_request_body_size="never",
        max_breadcrumbs=0,  # log lines and queries with their values
        propagate_traces=False,
        default_integrations=False,  # among them: the command line, which may name a person
        auto_enabling_integrations=False,
        integrations=[
            AtexitIntegration(callback=lambda pending, timeout: None),
            CeleryIntegration(propagate_traces=False, monitor_beat_tasks=False),
            DedupeIntegration(),
            DjangoIntegration(middleware_spans=False, signals_spans=False, cache_spans=False),
            ExcepthookIntegration(),
            LoggingIntegration(level=None, event_level=logging.ERROR),
            ThreadingIntegration(propagate_scope=False),
        ],
        before_send=without_people,
    )


class Crowd:
    """Lets so many reports of one kind through in a minute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since = 0.0
        self._seen: dict[str, int] = {}

    def admits(self, kind: str, now: float) -> bool:
        """Count a report and say whether it may go."""
        with self._lock:
            if now - self._since >= MINUTE or len(self._seen) > KINDS:
                self._since, self._seen = now, {}
            self._seen[kind] = self._seen.get(kind, 0) + 1
            return self._seen[kind] <= SAME_PER_MINUTE


crowd = Crowd()


def without_people(event: Event, _hint: Hint) -> Event | None:
    """Drop the request, whose address holds a reader's token, and blank whatever may be a person's.

    The route is in the event's transaction. None for one of a kind that was reported often enough this minute.
    """
    values: list[dict[str, Any]] = (event.get("exception") or {}).get("values") or [{}]
    kind = f"{event.get('transaction')} {event.get('logger')} {values[-1].get('type')}"
    if not crowd.admits(kind, time.monotonic()):
        return None
    for part in ("request", "user", "breadcrumbs"):
        event.pop(part, None)  # type: ignore[misc]
    job = (event.get("extra") or {}).get("celery-job")
    if isinstance(job, dict):
        job.pop("args", None)
        job.pop("kwargs", None)
    clean: Event = scrubbed(event)
    return clean
