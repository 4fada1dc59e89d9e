"""One answer per Idempotency-Key: what was done and what was answered are committed together, or neither is."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.db import OperationalError, connection, transaction
from django.db.models.fields.json import KT
from django.db.models.functions import Lower
from django.utils import timezone

from amazonsender.core.errors import Conflict, InvalidInput
from organizations.models import ApiKey, IdempotentAnswer, Organization

KEPT: Final = datetime.timedelta(hours=24)
WAIT_SECONDS: Final = 10
LONGEST_KEY: Final = 200
PURGED_TOGETHER: Final = 5000  # of one statement, so that its locks are short


@dataclass(frozen=True)
class Answer:
    """A status and a body as JSON holds it; `is_replayed` when it was given before."""

    status: int
    body: Any
    is_replayed: bool = False


def answer_once(*, api_key: ApiKey, idempotency_key: str, request: bytes, act: Callable[[], Answer]) -> Answer:
    """Do `act` unless it was done under this key within 24 hours; then give the same answer again.

    Of two at once the second waits for the first. What is raised rolls everything back and is not remembered: the same
    key may try again. Raises InvalidInput for a key that is none or was used for another request, Conflict when the
    first one takes too long.
    """
    if not (1 <= len(idempotency_key) <= LONGEST_KEY and idempotency_key.isascii() and idempotency_key.isprintable()):
        raise InvalidInput(f"An Idempotency-Key has 1 to {LONGEST_KEY} printable ASCII characters.")
    digest = hashlib.sha256(request).digest()
    with transaction.atomic():
        _lock(api_key.pk, idempotency_key)
        given = IdempotentAnswer.objects.filter(api_key=api_key, idempotency_key=idempotency_key)
        given.filter(created_at__lt=timezone.now() - KEPT).delete()
        known = given.first()
        if known is not None:
            if bytes(known.digest) != digest:
                raise InvalidInput("This Idempotency-Key was used for another request. Take a new one.")
            return Answer(known.status, known.body, is_replayed=True)
        answer = act()
        IdempotentAnswer.objects.create(
            api_key=api_key, idempotency_key=idempotency_key, digest=digest, status=answer.status, body=answer.body
        )
        return answer


def purge_answers() -> int:
    """Delete answers older than 24 hours; return how many."""
    old = (
        IdempotentAnswer.objects.filter(created_at__lt=timezone.now() - KEPT)
        .order_by("created_at")
        .values_list("pk", flat=True)
    )
    purged = 0
    while True:
        deleted, _by_model = IdempotentAnswer.objects.filter(pk__in=list(old[:PURGED_TOGETHER])).delete()
        purged += deleted
        if deleted < PURGED_TOGETHER:
            return purged


def forget_answers_about(*, organization: Organization, emails: Iterable[str]) -> None:
    """Delete the answers that showed somebody who is deleted. Whoever repeats the request meets things as they are."""
    shown = IdempotentAnswer.objects.filter(api_key__organization=organization).annotate(email=Lower(KT("body__email")))
    shown.filter(email__in={email.lower() for email in emails}).delete()


def _lock(api_key_id: int, idempotency_key: str) -> None:
    """Let one at a time through. By an advisory lock, because there is no row to lock yet."""
    key = hashlib.sha256(f"{api_key_id}:{idempotency_key}".encode()).digest()[:8]
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{WAIT_SECONDS}s"])
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(key, signed=True)])
            cursor.execute("SELECT set_config('lock_timeout', '0', true)")
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") != "55P03":  # lock_not_available
            raise
        raise Conflict("A request with this Idempotency-Key is still under way. Ask again in a while.") from None
