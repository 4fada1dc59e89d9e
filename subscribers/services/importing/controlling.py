"""What a person does with an import: upload, say what the columns are, start, stop, try again."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from amazonsender.core.errors import Conflict, InvalidInput
from organizations.models import Organization, User
from organizations.services.audit import record
from subscribers.models import Import, ImportChunk, ImportMode, ImportReject, ImportState, List
from subscribers.services.attributes import require_room
from subscribers.services.importing.claiming import RUNNING
from subscribers.services.importing.files import delete_file, path_of, store_file
from subscribers.services.importing.guessing import guess_mapping
from subscribers.services.importing.plan import make_plan
from subscribers.services.importing.sniffing import DELIMITERS, ENCODINGS, FileShape, is_workbook, look_at
from subscribers.services.subscribers import clean_tags, definitions_of

STALE_DAYS = 7


def create_import(
    *, organization: Organization, file_name: str, chunks: Iterable[bytes], created_by: User | None = None
) -> Import:
    """Store an uploaded file and fill in what can be understood of it. Nothing is imported yet."""
    path, size = store_file(organization_id=organization.pk, chunks=chunks)
    run = Import(
        organization=organization,
        created_by=created_by,
        file_name=file_name.replace("\x00", "")[-255:] or "import.csv",
        path=path,
        size=size,
    )
    try:
        _understand(run)
    except InvalidInput:
        delete_file(run)
        raise
    run.save()
    return run


def read_again(*, run: Import, encoding: str = "", delimiter: str = "") -> FileShape:
    """Look at the file with other letters or another separator, and guess the columns anew."""
    _require_unstarted(run)
    shape = _understand(run, encoding=encoding, delimiter=delimiter)
    run.save(update_fields=["encoding", "delimiter", "has_header", "mapping", "rows_expected"])
    return shape


def file_shape(run: Import) -> FileShape:
    """Return headings and first rows as the import's encoding and delimiter show them."""
    return _look(run, run.encoding, run.delimiter)


def _understand(run: Import, *, encoding: str = "", delimiter: str = "") -> FileShape:
    if encoding and encoding not in {*ENCODINGS, "utf-16-le", "utf-16-be"}:
        raise InvalidInput(_("These letters are not supported."))
    if delimiter and delimiter not in DELIMITERS:
        raise InvalidInput(_("This separator is not supported."))
    shape = _look(run, encoding, delimiter)
    if not shape.samples:
        raise InvalidInput(_("The file has no rows."))
    run.encoding, run.delimiter, run.has_header = shape.encoding, shape.delimiter, shape.has_header
    run.rows_expected = shape.rows_expected
    run.mapping = list(guess_mapping(shape, definitions_of(run.organization)))
    return shape


def _look(run: Import, encoding: str, delimiter: str) -> FileShape:
    if is_workbook(path_of(run)):
        raise InvalidInput(_("This is a spreadsheet's own format. Save it there as CSV, and choose that file."))
    try:
        return look_at(path_of(run), encoding=encoding, delimiter=delimiter)
    except UnicodeError:
        raise InvalidInput(_("The file is not written in these letters.")) from None


def configure_import(
    *,
    run: Import,
    mapping: Sequence[Mapping[str, Any]],
    mode: str,
    mailing_list: List | None,
    consent_text: str = "",
    tags: Iterable[str] = (),
    is_sample: bool = False,
) -> None:
    """Store what a person decided. Raises InvalidInput when it can't be run like that.

    Putting people on a list takes their consent, so the import must say how they gave it: the text is kept with each.
    """
    _require_unstarted(run)
    if mode not in ImportMode.values:
        raise InvalidInput(_("There is no such way to import."))
    if mailing_list is not None and mailing_list.organization_id != run.organization_id:
        raise InvalidInput(_("There is no such list."))
    if mailing_list is not None and not consent_text.strip() and not is_sample:
        raise InvalidInput(_("How did they agree? It is kept with every person as proof."))
    known = definitions_of(run.organization)
    require_room(len(known), adding=sum(column.key not in known for column in make_plan(mapping, known).attributes))
    run.mapping = [dict(entry) for entry in mapping]
    run.mode = mode
    run.list = mailing_list
    run.consent_text = consent_text.strip()
    run.tags = clean_tags(tags)
    run.is_sample = is_sample
    run.save(update_fields=["mapping", "mode", "list", "consent_text", "tags", "is_sample"])


@transaction.atomic
def start_import(*, run: Import, is_dry_run: bool = False, actor: User | None = None) -> None:
    """Hand the import to the workers; the caller enqueues the task. Raises Conflict unless it waits for that."""
    updated = Import.objects.filter(pk=run.pk, state=ImportState.UPLOADED).update(
        state=ImportState.QUEUED, is_dry_run=is_dry_run
    )
    if not updated:
        raise Conflict(_("This import was started already."))
    run.refresh_from_db()
    if not is_dry_run:
        record(organization=run.organization, actor=actor, action="import.started", target=run, rows=run.rows_expected)


def cancel_import(*, run: Import) -> None:
    """Stop the import after the chunk that is being merged. What has come in stays, and is counted."""
    updated = Import.objects.filter(pk=run.pk, state__in=[*RUNNING, ImportState.UPLOADED]).update(
        state=ImportState.CANCELLED, finished_at=timezone.now(), lease_until=None
    )
    if not updated:
        raise Conflict(_("This import is over already."))
    run.refresh_from_db()


@transaction.atomic
def reopen_import(*, run: Import) -> None:
    """Go back to the columns: after a trial, or after a failure that wrote nothing."""
    locked = Import.objects.select_for_update().get(pk=run.pk)
    wrote = ImportChunk.objects.filter(import_run=locked, merged_at__isnull=False).exists() and not locked.is_dry_run
    if locked.state not in (ImportState.DONE, ImportState.FAILED) or wrote or not path_of(locked).exists():
        raise Conflict(_("This import can't be opened again. Upload the file anew."))
    ImportChunk.objects.filter(import_run=locked).delete()
    ImportReject.objects.filter(import_run=locked).delete()
    for name in (
        "read",
        "created",
        "updated",
        "unchanged",
        "rejected",
        "duplicates",
        "kept_out",
        "bytes_read",
        "claim",
    ):
        setattr(locked, name, 0)
    locked.kept_out_reasons, locked.reject_reasons, locked.dropped_cells = {}, {}, {}
    locked.state, locked.error, locked.is_dry_run = ImportState.UPLOADED, "", False
    locked.started_at = locked.finished_at = None
    locked.save()
    run.refresh_from_db()


def discard_stale_imports() -> int:
    """Delete files that nobody came back for: people's addresses shouldn't lie about. Returns how many."""
    before = timezone.now() - datetime.timedelta(days=STALE_DAYS)
    kept = Q(state__in=[ImportState.UPLOADED, ImportState.FAILED]) | Q(state=ImportState.DONE, is_dry_run=True)
    discarded = 0
    for run in Import.objects.filter(kept, created_at__lt=before):
        if path_of(run).exists():
            delete_file(run)
            discarded += 1
        Import.objects.filter(pk=run.pk, state=ImportState.UPLOADED).update(
            state=ImportState.CANCELLED, finished_at=timezone.now()
        )
    return discarded


def _require_unstarted(run: Import) -> None:
    if run.state != ImportState.UPLOADED:
        raise Conflict(_("This import was started already."))
