"""The accounts that add up: audience before sending, live while sending, exact afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from delivery.models import ExclusionReason
from delivery.selectors.audience import AudienceCount
from delivery.selectors.progress import Account, Progress

Link = Callable[[str], str]


def audience_account(count: AudienceCount, link: Callable[[ExclusionReason], str]) -> list[dict[str, Any]]:
    """Who will get it and who is left out, each reason with a link to the people."""
    parts = [
        (str(ExclusionReason(reason).label), people, link(ExclusionReason(reason)))
        for reason, people in sorted(count.by_reason.items(), key=lambda item: -item[1])
        if people
    ]
    return [
        {"key": "sent", "label": _("Will get it"), "value": count.eligible},
        {
            "key": "excluded",
            "label": _("Left out"),
            "value": count.candidates - count.eligible,
            "parts": parts,
        },
    ]


def live_account(progress: Progress, link: Link, *, is_dry_run: bool = False) -> list[dict[str, Any]]:
    """The present account of a sending, every row of it present from the first second."""
    return _account(
        sent=progress.sent,
        simulated=progress.simulated,
        waiting=progress.waiting,
        failed=progress.failed,
        unknown=progress.unknown,
        cancelled=progress.cancelled,
        excluded=progress.excluded,
        reasons={},
        link=link,
        is_dry_run=is_dry_run,
    )


def final_account(account: Account, link: Link, *, is_dry_run: bool = False) -> list[dict[str, Any]]:
    """The exact account of a sending, from the ledger."""
    states = account.states
    return _account(
        sent=states["sent"],
        simulated=states["simulated"],
        waiting=states["queued"] + states["held"],
        failed=states["failed"],
        unknown=states["unknown"],
        cancelled=states["cancelled"],
        excluded=states["excluded"],
        reasons=account.reasons,
        link=link,
        is_dry_run=is_dry_run,
    )


def _account(
    *,
    sent: int,
    simulated: int,
    waiting: int,
    failed: int,
    unknown: int,
    cancelled: int,
    excluded: int,
    reasons: dict[ExclusionReason, int],
    link: Link,
    is_dry_run: bool,
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"key": "sent", "label": pgettext("people", "Sent"), "value": sent, "href": link("sent")},
        {"key": "waiting", "label": _("Waiting"), "value": waiting, "href": link("queued")},
        {"key": "failed", "label": _("Failed"), "value": failed, "href": link("failed")},
        {
            "key": "unknown",
            "label": _("No answer"),
            "value": unknown,
            "note": _("from the provider; no machine sends it twice"),
            "href": link("unknown"),
        },
        {
            "key": "excluded",
            "label": _("Left out"),
            "value": excluded,
            "href": link("excluded"),
            "parts": [
                (str(ExclusionReason(reason).label), people)
                for reason, people in sorted(reasons.items(), key=lambda item: -item[1])
                if people
            ],
        },
    ]
    if is_dry_run:
        rows[0] = {"key": "simulated", "label": _("Simulated"), "value": simulated, "href": link("simulated")}
    if cancelled:
        rows.append({"key": "cancelled", "label": _("Stopped before it left"), "value": cancelled})
    return rows
