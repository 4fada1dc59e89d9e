"""The witness: how far the database has come, remembered in the cache, outside of what a backup brings back.

A restored file system — a snapshot of the disk, of a virtual machine, of a managed database — has the identifier, the
timeline and the object ids of the original. But it has counted fewer heartbeats than the cache remembers. The heartbeat
is committed first and remembered then, so the database is behind the witness only when it has forgotten. Without the
cache, or when it was restored together with the database, there is no witness, and nothing is said.
"""

from __future__ import annotations

import structlog
from django.core.cache import cache

logger = structlog.get_logger(__name__)


def _key(system_identifier: int, database_oid: int) -> str:
    return f"engine-home:{system_identifier}:{database_oid}"


def last_seen(system_identifier: int, database_oid: int) -> int:
    """The last heartbeat that is remembered of this database, 0 where none is."""
    try:
        return int(cache.get(_key(system_identifier, database_oid), 0))
    except Exception as error:  # noqa: BLE001 - whatever a cache's driver raises means that there is no witness
        logger.debug("delivery.no_witness", error=type(error).__name__)
        return 0


def remember(system_identifier: int, database_oid: int, heartbeat: int) -> None:
    """Remember a heartbeat that is committed. Of two at once either may stay: the next comes within a second."""
    try:
        cache.set(_key(system_identifier, database_oid), heartbeat, timeout=None)
    except Exception as error:  # noqa: BLE001 - as above
        logger.debug("delivery.no_witness", error=type(error).__name__)
