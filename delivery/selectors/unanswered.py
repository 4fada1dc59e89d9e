"""Messages without an answer from the provider: which calls they went out in, and what is known about them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import Sum
from django.utils.translation import gettext as _

from delivery.models import EventType, Mailout, MessageState, StatEmail
from delivery.selectors.progress import mailout_account
from organizations.models import AuditEntry

SENT_AGAIN = "mailout.sent_again"  # the audit log's word for the act
MOST = 90  # percent of the others, above which the provider's news is taken as complete

# The last call of each person of the batches that have somebody without an answer; calls are kept for a week.
HANDED_OVER_SQL = """
SELECT DISTINCT ON (k.n) k.n, c.id AS call_id, c.armed_at
  FROM delivery_message_batch b
  JOIN delivery_send_call c ON c.batch_id = b.id AND c.state IN (1, 2)
 CROSS JOIN LATERAL (SELECT generate_series(c.lo, c.hi - 1) AS n WHERE b.members IS NULL
                     UNION ALL SELECT unnest(b.members[c.lo + 1 : c.hi])) k
 WHERE b.mailout_id = %(mailout)s AND b.unknown > 0
 ORDER BY k.n, c.armed_at DESC
"""

_CALLS = f"""
WITH handed_over AS ({HANDED_OVER_SQL})
SELECT h.call_id, h.armed_at, COALESCE(m.error, ''), count(*)
  FROM delivery_message m LEFT JOIN handed_over h ON h.n = m.n
 WHERE m.mailout_id = %(mailout)s AND m.state = {MessageState.UNKNOWN.value}
 GROUP BY 1, 2, 3 ORDER BY 2 DESC NULLS LAST, 1, 3
"""

_CALL_OF = """
SELECT c.id, c.armed_at
  FROM delivery_message_batch b JOIN delivery_send_call c ON c.batch_id = b.id AND c.state IN (1, 2)
 WHERE b.mailout_id = %(mailout)s AND b.attempt = %(attempt)s
   AND ((b.members IS NULL AND c.lo <= %(n)s AND c.hi > %(n)s) OR %(n)s = ANY(b.members[c.lo + 1 : c.hi]))
 ORDER BY c.armed_at DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class UnansweredCall:
    """People of one call who got the same non-answer. call_id and handed_over_at: None once the call is forgotten."""

    call_id: UUID | None
    handed_over_at: datetime | None
    error: str
    people: int


@dataclass(frozen=True, slots=True)
class Unanswered:
    """What is known about a mailout's people without an answer, the latest calls first.

    sent, reported: how many others the provider took, and about how many of those it has reported something since.
    """

    people: int
    calls: list[UnansweredCall]
    sent: int
    reported: int

    @property
    def latest_at(self) -> datetime | None:
        """When the last of them was handed over."""
        return max((call.handed_over_at for call in self.calls if call.handed_over_at), default=None)


@dataclass(frozen=True, slots=True)
class SentAgain:
    """Somebody's decision to send to those without an answer. who: "" for a command."""

    at: datetime
    who: str
    people: int


def unanswered_of(mailout: Mailout) -> Unanswered:
    """Read the messages without an answer with their calls. One scan of the mailout's rows."""
    with connection.cursor() as cursor:
        cursor.execute(_CALLS, {"mailout": mailout.pk})
        calls = [UnansweredCall(*row) for row in cursor.fetchall()]
    reported = StatEmail.objects.filter(
        mailout_id=mailout.pk, type__in=[EventType.DELIVERED, EventType.BOUNCED]
    ).aggregate(people=Sum("uniq"))["people"]
    states = mailout_account(mailout).states
    return Unanswered(sum(call.people for call in calls), calls, states["sent"] + states["simulated"], reported or 0)


def unanswered_call(mailout: Mailout, *, n: int, attempt: int) -> UnansweredCall | None:
    """The call in which a message went out that got no answer; None once it is forgotten."""
    with connection.cursor() as cursor:
        cursor.execute(_CALL_OF, {"mailout": mailout.pk, "n": n, "attempt": attempt})
        row = cursor.fetchone()
    return UnansweredCall(row[0], row[1], "", 1) if row else None


def times_sent_again(mailout: Mailout) -> list[SentAgain]:
    """The decisions about this mailout's unanswered messages, oldest first."""
    entries = (
        AuditEntry.objects.for_organization(mailout.organization)
        .filter(action=SENT_AGAIN, object_id=str(mailout.pk))
        .select_related("actor")
        .order_by("at")
    )
    return [SentAgain(entry.at, str(entry.actor or ""), entry.detail["people"]) for entry in entries]


def connection_words(error: str) -> str:
    """What the connection said, in a sentence; the first word of an error is its code."""
    words = {
        "answer_lost": _("The connection broke before the answer came."),
        "server_error": _("The provider answered with a fault of its own, after it had been given the emails."),
        "malformed_answer": _("The answer could not be read."),
        "unknown_status": _("The answer had a status that nobody documents."),
        "answer": _("The answer was about another number of people than we had asked for."),
        "no answer": _("Our worker was lost while the call was out."),
        "internal": _("Our own program failed while the call was out."),
    }
    return words.get(error.partition(":")[0], "")


def knowledge_words(known: Unanswered) -> str:
    """What the provider's silence is worth: it depends on what it says about the others."""
    if not known.reported:
        return _(
            "The provider has reported nothing about this sending, so its silence says nothing: they may all have it."
        )
    share = min(100, 100 * known.reported // known.sent) if known.sent else 0
    if share < MOST:
        return _(
            "The provider has reported on %(share)s%% of those it took, so its news is not complete: wait a little."
        ) % {"share": share}
    return _(
        "The provider has reported on %(share)s%% of those it took and not on these: most likely they did not get it."
    ) % {"share": share}
