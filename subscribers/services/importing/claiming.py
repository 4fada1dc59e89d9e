"""Who works on an import: claimed in its row with a lease, so that a task delivered twice finds it taken."""

from __future__ import annotations

import datetime

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce, Now

from subscribers.models import Import, ImportState

RUNNING = (ImportState.QUEUED, ImportState.READING, ImportState.MERGING)
LEASE_SECONDS = 60


class LostClaimError(Exception):
    """The import was cancelled, or another worker took it over: write nothing more."""


def due_imports() -> QuerySet[Import]:
    """Return imports that wait for a worker, or whose worker died."""
    return Import.objects.filter(Q(lease_until__isnull=True) | Q(lease_until__lt=Now()), state__in=RUNNING).order_by(
        "id"
    )


@transaction.atomic
def claim_import(*, import_id: int) -> Import | None:
    """Take the import for this worker, or return None when it is somebody else's or over."""
    run = due_imports().filter(pk=import_id).select_for_update(skip_locked=True, of=("self",)).first()
    if run is None:
        return None
    run.claim += 1
    if run.state == ImportState.QUEUED:
        run.state = ImportState.READING
    Import.objects.filter(pk=run.pk).update(
        claim=run.claim,
        state=run.state,
        started_at=Coalesce(F("started_at"), Now()),
        lease_until=Now() + datetime.timedelta(seconds=LEASE_SECONDS),
    )
    return Import.objects.select_related("organization").get(pk=run.pk)


def renew_lease(run: Import, **progress: object) -> None:
    """Extend the lease and store progress. Raises LostClaimError when the import is no longer ours."""
    updated = Import.objects.filter(pk=run.pk, claim=run.claim, state=run.state).update(
        lease_until=Now() + datetime.timedelta(seconds=LEASE_SECONDS), **progress
    )
    if not updated:
        raise LostClaimError


def move_on(run: Import, state: ImportState, **fields: object) -> None:
    """Change the state if the import is still ours. Raises LostClaimError otherwise."""
    updated = Import.objects.filter(pk=run.pk, claim=run.claim, state=run.state).update(state=state, **fields)
    if not updated:
        raise LostClaimError
    run.state = state


def release(run: Import) -> None:
    """Give the import back, so that the next task goes on with it at once."""
    Import.objects.filter(pk=run.pk, claim=run.claim).update(lease_until=None)
