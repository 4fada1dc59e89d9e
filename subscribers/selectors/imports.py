"""How an import stands: its progress while it runs, its account when it is over."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Count, Q, Sum
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from subscribers.addresses import MESSAGES
from subscribers.models import Import, ImportReject, ImportState

REASONS: dict[str, str | Promise] = {
    **MESSAGES,
    "unclosed_quote": gettext_lazy("A quotation mark is never closed."),
    "malformed_quote": gettext_lazy("A quotation mark stands where none may."),
    "row_too_long": gettext_lazy("The row is too long."),
    "too_many_cells": gettext_lazy("More cells than the file has columns."),
    "value_too_long": gettext_lazy("A value is too long for its field."),
    "not_here": gettext_lazy("Not among your subscribers, and only those were to be updated."),
}
_EXAMPLES = 3


@dataclass(frozen=True)
class ImportProgress:
    """Numbers of a running or finished import."""

    state: str
    read: int
    expected: int
    created: int
    updated: int
    unchanged: int
    rejected: int
    duplicates: int
    kept_out: int
    percent: float
    seconds_left: int | None

    @property
    def is_over(self) -> bool:
        return self.state in (ImportState.DONE, ImportState.FAILED, ImportState.CANCELLED)


def import_progress(run: Import) -> ImportProgress:
    """Return where the import stands. Reading is the first half of the way, merging the second."""
    sums = run.chunks.filter(merged_at__isnull=False).aggregate(
        created=Sum("created", default=0),
        updated=Sum("updated", default=0),
        unchanged=Sum("unchanged", default=0),
        rejected=Sum("rejected", default=0),
        duplicates=Sum("duplicates", default=0),
    )
    is_done = run.state == ImportState.DONE
    percent = 100.0 if is_done else _percent(run)
    return ImportProgress(
        state=run.state,
        read=run.read,
        expected=max(run.rows_expected, run.read),
        created=sums["created"],
        updated=sums["updated"],
        unchanged=sums["unchanged"],
        rejected=run.rejected if is_done else run.rejected + sums["rejected"],
        duplicates=sums["duplicates"],
        kept_out=run.kept_out,
        percent=percent,
        seconds_left=_seconds_left(run, percent),
    )


def _percent(run: Import) -> float:
    if run.state in (ImportState.UPLOADED, ImportState.QUEUED):
        return 0.0
    half = 50 * min(1.0, run.bytes_read / run.size) if run.size else 0.0
    counts = run.chunks.aggregate(all=Count("id"), merged=Count("id", filter=Q(merged_at__isnull=False)))
    return round(half + (50 * counts["merged"] / counts["all"] if counts["all"] else 0.0), 1)


def _seconds_left(run: Import, percent: float) -> int | None:
    if run.started_at is None or not 2 <= percent < 100 or run.finished_at is not None:
        return None
    elapsed = (timezone.now() - run.started_at).total_seconds()
    return max(1, round(elapsed * (100 - percent) / percent))


@dataclass(frozen=True)
class RejectReason:
    """Rows that did not come in for one reason, with the first of their lines."""

    label: str | Promise
    count: int
    lines: list[int]
    example: str

    @property
    def more(self) -> int:
        return self.count - len(self.lines)


def reject_reasons(run: Import) -> list[RejectReason]:
    """Return the reasons, the most frequent first. The counts hold also beyond the stored rows."""
    found = []
    for reason, count in sorted(run.reject_reasons.items(), key=lambda item: (-item[1], item[0])):
        first = list(ImportReject.objects.filter(import_run=run, reason=reason).order_by("line")[:_EXAMPLES])
        example = next((row.detail for row in first if row.detail), "")
        found.append(RejectReason(REASONS.get(reason, reason), count, [row.line for row in first], example))
    return found


def export_rejects(run: Import) -> Iterator[bytes]:
    """Yield a CSV of the stored rejects: line, reason, and the row as it was.

    It opens in spreadsheets, so no cell may start as a formula. The row's own cells keep their columns, and the file
    can be mended and uploaded again.
    """
    yield "\ufeff".encode()
    yield _csv_line([_("Line"), _("Reason"), *[str(entry.get("column", "")) for entry in run.mapping]])
    for row in ImportReject.objects.filter(import_run=run).order_by("line").iterator(2_000):
        yield _csv_line([str(row.line), str(REASONS.get(row.reason, row.reason)), *row.row])


def _csv_line(cells: list[str]) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer).writerow([inert(cell) for cell in cells])
    return buffer.getvalue().encode()


def inert(cell: str) -> str:
    """Return the cell so that no spreadsheet runs it as a formula; once is enough however often it goes round."""
    return f"'{cell}" if cell.lstrip(" ")[:1] in ("=", "+", "-", "@", "\t", "\r", "\n") else cell
