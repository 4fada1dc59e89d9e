"""The queue of the product's own mail: who writes a letter queues it in the transaction of its cause.

1. `queue` writes the row and wakes a worker on commit. Nothing is queued for what was rolled back.
2. `claim` takes one that is due (SKIP LOCKED), counts the try and leases it. Two workers never hold the same one.
3. Whoever claimed hands it over outside of any transaction, and tells the end: `accept`, `refuse`, `postpone`, `doubt`. Each
   is a conditional UPDATE with the number of the try, so that a late or doubled one changes nothing.
4. `sweep` gives up what took too long, and doubts what a killed worker left behind.

A letter whose answer was lost is tried once more, and only once: nobody gets more than two copies. Unlike a campaign's
(docs/adr/0015): somebody sits at the sign-in page and waits for it.
"""

from __future__ import annotations

import datetime
import random
from dataclasses import dataclass
from typing import Final

import orjson
import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Greatest, Now

from amazonsender.core.enqueue import enqueue
from amazonsender.core.sealing import seal, unseal
from organizations.models import Organization, SystemEmail, SystemEmailPurpose, SystemEmailState
from organizations.services.letters import Letter

logger = structlog.get_logger(__name__)

TASK: Final = "delivery.tasks.send_system_emails"
LEASE: Final = datetime.timedelta(seconds=180)  # longer than all steps of a conversation with a server that hangs
DOUBT_WAIT: Final = datetime.timedelta(minutes=1)  # after a lost answer
MOST_DOUBTS: Final = 1  # answers that may be lost before another is one too many
FIRST_WAIT_SECONDS: Final = 15.0
LONGEST_WAIT_SECONDS: Final = 600.0
KEPT: Final = datetime.timedelta(days=30)
GIVEN_UP: Final = "given up: it would come too late"
KILLED: Final = "answer_lost: the worker ended while it was being sent"
_ERROR_LENGTH: Final = 400


@dataclass(frozen=True)
class Claimed:
    """A letter to hand over now. `tried` is the number of this try."""

    pk: int
    tried: int
    purpose: str
    to: str
    subject: str
    sealed_body: str


@dataclass(frozen=True)
class Body:
    text: str
    html: str


def has_way_out() -> bool:
    """Say whether the settings name anything that carries own mail."""
    return bool(settings.SYSTEM_EMAIL_PROVIDER != "none")


def queue(
    *,
    purpose: SystemEmailPurpose,
    to: str,
    letter: Letter,
    useful_for: datetime.timedelta,
    organization: Organization | None = None,
) -> SystemEmail | None:
    """Queue a letter; after `useful_for` it is given up. None where own mail has no way out: it would only pile up.

    Call it in the transaction of what causes it.
    """
    if not has_way_out():
        logger.warning("system_email.no_way_out", purpose=purpose)
        return None
    email = SystemEmail.objects.create(
        organization=organization,
        purpose=purpose,
        to=to,
        subject=letter.subject,
        sealed_body=seal(orjson.dumps({"text": letter.text, "html": letter.html}).decode()),
        due_at=Now(),
        give_up_at=Now() + useful_for,
    )
    enqueue(TASK)
    return email


def open_body(claimed: Claimed) -> Body:
    """Raises SealBrokenError when SECRET_KEY changed since."""
    return Body(**orjson.loads(unseal(claimed.sealed_body)))


def claim() -> Claimed | None:
    """Take the letter that is due for longest; None when nothing is."""
    with transaction.atomic():
        due = SystemEmail.objects.select_for_update(skip_locked=True).filter(
            state=SystemEmailState.QUEUED, due_at__lte=Now(), give_up_at__gt=Now()
        )
        email = due.order_by("due_at", "pk").first()
        if email is None:
            return None
        SystemEmail.objects.filter(pk=email.pk).update(
            state=SystemEmailState.SENDING, tries=F("tries") + 1, leased_until=Now() + LEASE
        )
    return Claimed(email.pk, email.tries + 1, email.purpose, email.to, email.subject, email.sealed_body)


def accept(claimed: Claimed, *, provider_id: str) -> bool:
    """It was taken. Also when the lease ran out meanwhile: the truth wins, unless another try has begun."""
    alive = [SystemEmailState.SENDING, SystemEmailState.QUEUED, SystemEmailState.UNKNOWN]
    rows = SystemEmail.objects.filter(pk=claimed.pk, tries=claimed.tried, state__in=alive)
    return _finish(rows, SystemEmailState.SENT, last_error="", provider_id=provider_id[:200]) == 1


def refuse(claimed: Claimed, *, reason: str) -> bool:
    """It was refused, and would be again."""
    return _finish(_held(claimed), SystemEmailState.FAILED, last_error=reason[:_ERROR_LENGTH]) == 1


def postpone(claimed: Claimed, *, reason: str) -> bool:
    """It was certainly not taken, and may be later: after 15 seconds, twice that, …, 10 minutes."""
    return (
        _held(claimed).update(
            state=SystemEmailState.QUEUED,
            leased_until=None,
            due_at=Now() + _wait(claimed.tried),
            last_error=reason[:_ERROR_LENGTH],
        )
        == 1
    )


def doubt(claimed: Claimed, *, reason: str) -> bool:
    """Nobody knows whether it was taken."""
    return _doubt(_held(claimed), reason) == 1


def hold_back(*, tried: int) -> int:
    """The way out itself is in trouble: what is due waits, too, rather than try one after the other. How many do."""
    until = Now() + _wait(tried)
    waiting = SystemEmail.objects.filter(state=SystemEmailState.QUEUED, due_at__lte=Now())
    return waiting.update(due_at=Greatest(F("due_at"), until))


def sweep() -> int:
    """Give up what is of no use any more, and doubt what nobody holds. Returns how many letters that moved."""
    late = SystemEmail.objects.filter(state=SystemEmailState.QUEUED, give_up_at__lte=Now())
    lost = SystemEmail.objects.filter(state=SystemEmailState.SENDING, leased_until__lte=Now())
    return _doubt(lost, KILLED) + _give_up(late)


def purge() -> int:
    """Delete what was over a month ago."""
    return SystemEmail.objects.filter(finished_at__lte=Now() - KEPT).delete()[0]


def _held(claimed: Claimed) -> QuerySet[SystemEmail]:
    return SystemEmail.objects.filter(pk=claimed.pk, tries=claimed.tried, state=SystemEmailState.SENDING)


def _doubt(rows: QuerySet[SystemEmail], reason: str) -> int:
    """The first doubt waits for another try. One statement for each, so that neither sees the other's rows."""
    over = _finish(rows.filter(doubts__gte=MOST_DOUBTS), SystemEmailState.UNKNOWN, last_error=reason[:_ERROR_LENGTH])
    again = rows.filter(doubts__lt=MOST_DOUBTS).update(
        state=SystemEmailState.QUEUED,
        doubts=F("doubts") + 1,
        leased_until=None,
        due_at=Now() + DOUBT_WAIT,
        last_error=reason[:_ERROR_LENGTH],
    )
    return over + again


def _give_up(rows: QuerySet[SystemEmail]) -> int:
    """What was doubted may have arrived after all."""
    doubted = _finish(rows.filter(doubts__gt=0), SystemEmailState.UNKNOWN)
    certain = rows.filter(doubts=0)
    untried = _finish(certain.filter(last_error=""), SystemEmailState.FAILED, last_error=GIVEN_UP)
    return doubted + untried + _finish(certain, SystemEmailState.FAILED)


def _finish(rows: QuerySet[SystemEmail], state: SystemEmailState, **told: str) -> int:
    """End letters, and erase what may hold a link in the same statement."""
    return rows.update(state=state, sealed_body="", leased_until=None, finished_at=Now(), **told)


def _wait(tried: int) -> datetime.timedelta:
    seconds = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** (tried - 1))
    return datetime.timedelta(seconds=seconds * random.uniform(0.8, 1.2))  # noqa: S311 - spreads, guards nothing
