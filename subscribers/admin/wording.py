"""The sentences and numbers of an import's pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from organizations.templatetags.ui import n
from subscribers.models import Import, ImportState
from subscribers.selectors.imports import ImportProgress, import_progress


def headline(progress: ImportProgress) -> str:
    """Say where the import stands."""
    if progress.state == ImportState.QUEUED:
        return _("Waiting for a worker.")
    if progress.state == ImportState.MERGING:
        done = progress.created + progress.updated + progress.unchanged
        return _("%(done)s of %(read)s rows are in.") % {"done": n(done), "read": n(progress.read)}
    return _("%(read)s of %(total)s rows read.") % {"read": n(progress.read), "total": n(progress.expected)}


def time_left(progress: ImportProgress) -> str:
    """Say how long it will take, or nothing while that can't be known."""
    seconds = progress.seconds_left
    if seconds is None:
        return ""
    if seconds < 10:
        return _("A few seconds left.")
    if seconds < 90:
        return _("About %(seconds)s seconds left.") % {"seconds": seconds}
    minutes = round(seconds / 60)
    return ngettext("About %(n)s minute left.", "About %(n)s minutes left.", minutes) % {"n": minutes}


def result(run: Import, people_in: int) -> str:
    """Say in one sentence what came of the file."""
    if run.state == ImportState.FAILED:
        return _("The import stopped.")
    if run.state == ImportState.CANCELLED:
        created = import_progress(run).created
        came = ngettext("Stopped. %(n)s new person is in.", "Stopped. %(n)s new people are in.", created)
        return came % {"n": n(created)}
    if not people_in:
        nobody = ngettext(
            "Nobody came in: %(n)s row was rejected.", "Nobody came in: %(n)s rows were rejected.", run.rejected
        )
        return nobody % {"n": n(run.rejected)}
    if run.is_dry_run:
        came = ngettext("%(n)s person would come in", "%(n)s people would come in", people_in)
        kept = ngettext("%(n)s row would not", "%(n)s rows would not", run.rejected)
    else:
        came = ngettext("%(n)s person is in", "%(n)s people are in", people_in)
        kept = ngettext("%(n)s row is not", "%(n)s rows are not", run.rejected)
    words = came % {"n": n(people_in)}
    if run.rejected:
        words = f"{words}, {kept % {'n': n(run.rejected)}}"
    return f"{words}."


def dropped_words(run: Import) -> list[str]:
    """Say which cells did not fit their kind."""
    return [
        ngettext(
            "%(n)s cell of “%(column)s” did not fit its kind and stayed empty.",
            "%(n)s cells of “%(column)s” did not fit their kind and stayed empty.",
            count,
        )
        % {"n": n(count), "column": column}
        for column, count in run.dropped_cells.items()
    ]


def kept_out_words(run: Import) -> list[str]:
    """Say who stayed unmailable, each reason with its number."""
    found = run.kept_out_reasons
    words: dict[str, Callable[[int], str]] = {
        "unsubscribed": lambda count: ngettext("%(n)s had unsubscribed", "%(n)s had unsubscribed", count),
        "bounced": lambda count: ngettext("%(n)s had bounced", "%(n)s had bounced", count),
        "complained": lambda count: ngettext("%(n)s had complained", "%(n)s had complained", count),
        "left_list": lambda count: ngettext("%(n)s had left this list", "%(n)s had left this list", count),
        "suppressed": lambda count: ngettext(
            "%(n)s is on the suppression list", "%(n)s are on the suppression list", count
        ),
    }
    return [word(found[key]) % {"n": n(found[key])} for key, word in words.items() if found.get(key)]


def segments(run: Import) -> list[dict[str, Any]]:
    """Return the account of the file, as the account tag wants it."""
    return [
        {"key": "created", "label": _("New people"), "value": run.created},
        {"key": "updated", "label": _("Updated"), "value": run.updated},
        {"key": "waiting", "label": _("Nothing new"), "value": run.unchanged},
        {
            "key": "unknown",
            "label": _("Twice in the file"),
            "note": _("the first one counts"),
            "value": run.duplicates,
        },
        {"key": "failed", "label": _("Rejected"), "value": run.rejected},
    ]
