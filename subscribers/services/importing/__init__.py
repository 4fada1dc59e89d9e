"""The import engine: a file of people, streamed into staging and merged in sets."""

from subscribers.services.importing.claiming import claim_import, due_imports
from subscribers.services.importing.controlling import (
    cancel_import,
    configure_import,
    create_import,
    discard_stale_imports,
    file_shape,
    read_again,
    reopen_import,
    start_import,
)
from subscribers.services.importing.running import run_import

__all__ = [
    "cancel_import",
    "claim_import",
    "configure_import",
    "create_import",
    "discard_stale_imports",
    "due_imports",
    "file_shape",
    "read_again",
    "reopen_import",
    "run_import",
    "start_import",
]
