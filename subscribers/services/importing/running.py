"""Running an import: read the file into staging, merge it in chunks, close the account.

The task that calls this is only an alarm clock. Every write of progress is conditional on the claim, so that a worker
that was given up for dead and comes back writes nothing:

1. *Reading* fills the staging table and touches no subscriber. A file in another encoding, or without a row, fails here
   with nothing written. A worker that takes over reads from the start.
2. *Merging* goes chunk by chunk, each in one transaction with its account. A worker that takes over merges the others.
3. The totals are the sum of the chunks: read = created + updated + unchanged + rejected + duplicates.
"""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Lock

import structlog
from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from amazonsender.core.errors import Conflict, DomainError, InvalidInput
from subscribers.models import Import, ImportChunk, ImportState
from subscribers.services.attributes import create_attribute
from subscribers.services.importing import staging
from subscribers.services.importing.claiming import RUNNING, LostClaimError, claim_import, move_on, release
from subscribers.services.importing.files import delete_file, path_of
from subscribers.services.importing.loading import Loader, find_bad_byte
from subscribers.services.importing.merging import NOT_HERE, merge_chunk
from subscribers.services.importing.plan import Plan, make_plan
from subscribers.services.subscribers import definitions_of

logger = structlog.get_logger(__name__)

DEFAULT_MERGERS = 2  # connections that merge at the same time; more wait for the same pages
MAX_CLAIMS = 8


def run_import(*, import_id: int, mergers: int = DEFAULT_MERGERS, max_seconds: float | None = None) -> bool:
    """Work on the import until it is over; say whether it needs another call.

    With `max_seconds` merging stops at the end of a chunk after that time, so that a worker can be stopped gracefully
    and other imports get their turn. Returns at once when somebody else works on it.
    """
    run = claim_import(import_id=import_id)
    if run is None:
        return False
    log = logger.bind(import_id=run.pk, organization_id=run.organization_id)
    try:
        if run.claim > MAX_CLAIMS:
            raise InvalidInput(_("The import was started many times and never came to its end."))
        return _work(run, mergers, max_seconds)
    except LostClaimError:
        log.info("import.given_up")
        _drop_staging_if_over(run)
        return False
    except DomainError as error:
        _fail(run, str(error))
        return False


def _work(run: Import, mergers: int, max_seconds: float | None) -> bool:
    started = time.monotonic()
    plan = make_plan(run.mapping, definitions_of(run.organization))
    if run.state == ImportState.READING:
        _read(run, plan)
    elif not staging.is_filled(run.pk):
        _load(run, plan)  # the database crashed and emptied the unlogged table; the chunks are still right
        staging.index(run.pk)
    deadline = None if max_seconds is None else started + max_seconds
    _merge(run, mergers, deadline)
    if ImportChunk.objects.filter(import_run=run, merged_at__isnull=True).exists():
        release(run)
        return True
    _finish(run)
    return False


def _read(run: Import, plan: Plan) -> None:
    """Stage the file and cut it into chunks."""
    loader = _load(run, plan)
    if loader.read == 0:
        raise InvalidInput(_("The file has no rows."))
    staging.index(run.pk)
    if not run.is_dry_run:
        _create_attributes(run, plan)
        staging.ensure_domains(run.pk)
    with transaction.atomic():
        ImportChunk.objects.filter(import_run=run).delete()
        ImportChunk.objects.bulk_create(
            ImportChunk(import_run=run, number=number, after=after, up_to=up_to)
            for number, (after, up_to) in enumerate(staging.ranges(run.pk, loader.staged), start=1)
        )
        move_on(run, ImportState.MERGING, bytes_read=run.size)


def _load(run: Import, plan: Plan) -> Loader:
    path = path_of(run)
    if not path.exists():
        raise InvalidInput(_("The file is gone. Upload it again."))
    loader = Loader(run, plan, path)
    try:
        loader.load()
    except UnicodeDecodeError as error:
        raise InvalidInput(_describe_bad_byte(path, run.encoding, error)) from None
    return loader


def _describe_bad_byte(path: Path, encoding: str, error: UnicodeDecodeError) -> str:
    line, byte = find_bad_byte(path, encoding, error)
    return _(
        "Line %(line)s has the byte %(byte)s, which does not exist in %(encoding)s. Choose other letters for the file; "
        "nothing was imported."
    ) % {"line": line, "byte": f"0x{byte:02X}", "encoding": encoding}


@transaction.atomic
def _create_attributes(run: Import, plan: Plan) -> None:
    """All of them or none: an import that fails has written nothing."""
    known = definitions_of(run.organization)
    for column in plan.attributes:
        if column.key in known:
            continue
        with suppress(Conflict):  # another import, or somebody, defined it meanwhile
            create_attribute(
                organization=run.organization,
                key=column.key,
                label=column.column[:1].upper() + column.column[1:],
                type=column.type,
            )


def _merge(run: Import, mergers: int, deadline: float | None) -> None:
    """Merge the open chunks over several connections; the first error stops them all after their present chunk."""
    found = list(ImportChunk.objects.filter(import_run=run, merged_at__isnull=True).order_by("number"))
    chunks = iter(found)
    lock = Lock()
    stopped: list[BaseException] = []

    def next_chunk() -> ImportChunk | None:
        with lock:
            late = deadline is not None and time.monotonic() > deadline
            return None if stopped or late else next(chunks, None)

    def merge_all() -> None:
        try:
            while (chunk := next_chunk()) is not None:
                merge_chunk(run, chunk)
        except BaseException as error:
            stopped.append(error)
            raise

    # what an open transaction staged is seen by its own connection only
    if mergers == 1 or len(found) < 2 or connection.in_atomic_block:
        merge_all()
        return

    def merge_and_close() -> None:
        try:
            merge_all()
        finally:
            connection.close()

    with ThreadPoolExecutor(mergers, thread_name_prefix="import-merge") as pool:
        futures = [pool.submit(merge_and_close) for _number in range(mergers)]
    for future in futures:
        future.result()


def _finish(run: Import) -> None:
    """Close the account: the totals become the sum of the chunks, the staging table and the file go."""
    with transaction.atomic():
        chunks = ImportChunk.objects.filter(import_run=run)
        sums = chunks.aggregate(
            *(Sum(name, default=0) for name in ("created", "updated", "unchanged", "rejected", "duplicates"))
        )
        kept_out: Counter[str] = Counter()
        for reasons in chunks.exclude(kept_out={}).values_list("kept_out", flat=True):
            kept_out.update(reasons)
        run.refresh_from_db(fields=["rejected", "reject_reasons"])
        reasons = dict(run.reject_reasons)
        if sums["rejected__sum"]:
            reasons[NOT_HERE] = sums["rejected__sum"]
        move_on(
            run,
            ImportState.DONE,
            created=sums["created__sum"],
            updated=sums["updated__sum"],
            unchanged=sums["unchanged__sum"],
            rejected=run.rejected + sums["rejected__sum"],
            reject_reasons=reasons,
            duplicates=sums["duplicates__sum"],
            kept_out=sum(kept_out.values()),
            kept_out_reasons=dict(kept_out),
            lease_until=None,
            finished_at=timezone.now(),
        )
    staging.drop(run.pk)
    if not run.is_dry_run:
        delete_file(run)
    logger.info("import.done", import_id=run.pk, created=sums["created__sum"], updated=sums["updated__sum"])


def _fail(run: Import, message: str) -> None:
    """End the import with a reason a person can act on. Reading wrote nothing; chunks that were merged stay counted."""
    try:
        move_on(run, ImportState.FAILED, error=message, lease_until=None, finished_at=timezone.now())
    except LostClaimError:
        return
    staging.drop(run.pk)
    logger.warning("import.failed", import_id=run.pk)


def _drop_staging_if_over(run: Import) -> None:
    """Clean up after a cancelled import; another worker's staging is left alone."""
    if not Import.objects.filter(pk=run.pk, state__in=RUNNING).exists():
        staging.drop(run.pk)
        delete_file(run)
