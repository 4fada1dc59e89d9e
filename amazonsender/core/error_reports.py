"""Error reports to Sentry, where a DSN is set: the failure, and nothing of the people it happened to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sentry_sdk

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint


def start_error_reports(*, dsn: str, environment: str) -> None:
    """Send unhandled errors of web and workers to the DSN; do nothing where it is empty."""
    if not dsn:
        return
    sentry_sdk.init(
        dsn=dsn,
        environment=environment,
        include_local_variables=False,  # they hold addresses and secrets
        max_request_body_size="never",
        max_breadcrumbs=0,  # log lines and queries with their values
        before_send=without_people,
    )


def without_people(event: Event, _hint: Hint) -> Event:
    """Drop the request: its address holds a reader's token. The route is in the event's transaction."""
    event.pop("request", None)
    event.pop("user", None)
    return event
