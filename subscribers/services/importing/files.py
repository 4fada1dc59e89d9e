"""Uploaded files: below the data folder, under a name of our own, deleted when their import is over."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from amazonsender.core.errors import InvalidInput
from subscribers.models import Import

MAX_FILE_BYTES = 5 * 1024**3


def path_of(run: Import) -> Path:
    """Return where the import's file lies."""
    return Path(settings.DATA_DIR) / run.path


def store_file(*, organization_id: int, chunks: Iterable[bytes]) -> tuple[str, int]:
    """Write the bytes piece by piece; return the path below the data folder, and the size.

    The person's file name is never part of the path.
    """
    relative = Path("imports") / str(organization_id) / f"{uuid.uuid4().hex}.csv"
    target = Path(settings.DATA_DIR) / relative
    target.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with target.open("xb") as file:
        for chunk in chunks:
            size += len(chunk)
            if size > MAX_FILE_BYTES:
                break
            file.write(chunk)
    if not 0 < size <= MAX_FILE_BYTES:
        target.unlink()
        raise InvalidInput(_("The file is larger than 5 GB. Split it.") if size else _("The file is empty."))
    return str(relative), size


def delete_file(run: Import) -> None:
    """Delete the import's file if it is there."""
    path_of(run).unlink(missing_ok=True)
