"""Send to those without an answer: a person's decision, never a machine's.

The message stays the row that it is and gets another attempt, so that nobody is counted twice; its batch is one with
members, as after a refusal, and the engine checks consent and suppression before it arms, as always. The mailout goes
back from finished to sending.

At most once per decision: whoever decides names the end of the mailout that they decide about (`finished_at`), and the
same transaction ends that end. A second press, or a second person, finds another one or none.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from amazonsender.core.errors import Conflict
from delivery.engine.database import database_now
from delivery.models import EventType, Inbox, Mailout, MailoutState
from delivery.selectors.unanswered import HANDED_OVER_SQL, SENT_AGAIN, Unanswered, unanswered_of
from delivery.services.belonging import require_belonging
from delivery.services.launching import BATCH_SIZE, wake_engine
from delivery.services.partitions import message_table
from organizations.models import User
from organizations.services.audit import record

logger = structlog.get_logger(__name__)

# Amazon takes a signed request for so long: what hangs in the network may still arrive and be accepted.
SIGNATURE_LIFE = timedelta(minutes=15)
NEWS_BEHIND = timedelta(minutes=1)

_LOCK = "SELECT n FROM {table} WHERE mailout_id = %(mailout)s AND state = 4 ORDER BY n FOR NO KEY UPDATE"

_REOPEN = """
UPDATE delivery_mailout
   SET state = 'sending', state_reason = '', finished_at = NULL, final_account = NULL, is_account_stale = false
 WHERE id = %(mailout)s AND state = 'finished' AND finished_at = %(finished_at)s
"""

# What is known of the attempt that got no answer stays in the message's history; its call is forgotten after a week.
_NOTE = f"""
WITH handed_over AS ({HANDED_OVER_SQL})
INSERT INTO delivery_event (mailout_id, n, at, type, detail)
SELECT m.mailout_id, m.n, clock_timestamp(), {EventType.SENT_AGAIN.value},
       jsonb_strip_nulls(jsonb_build_object('said', m.error, 'call', h.call_id, 'handed_over_at', h.armed_at))
  FROM {{table}} m LEFT JOIN handed_over h ON h.n = m.n
 WHERE m.mailout_id = %(mailout)s AND m.state = 4
"""

_AGAIN = """
WITH again AS (
    UPDATE {table} SET state = 0, attempt = attempt + 1, error = NULL WHERE mailout_id = %(mailout)s AND state = 4
    RETURNING n, email_no, attempt
), chunks AS (
    SELECT n, email_no, attempt, (row_number() OVER (PARTITION BY email_no, attempt ORDER BY n) - 1) / %(size)s AS chunk
      FROM again
)
INSERT INTO delivery_message_batch
    (mailout_id, account_id, organization_id, lane, email_no, lo, hi, members, attempt, call_size, armed_to, due_at)
SELECT m.id, COALESCE(m.account_id, 0), m.organization_id, m.lane, c.email_no, 0, count(*), array_agg(c.n ORDER BY c.n), c.attempt, 0,
       0, clock_timestamp()
  FROM chunks c JOIN delivery_mailout m ON m.id = %(mailout)s GROUP BY m.id, c.email_no, c.attempt, c.chunk
"""

# All of them wait now, wherever they were counted.
_UNCOUNT = "UPDATE delivery_message_batch SET unknown = 0 WHERE mailout_id = %(mailout)s AND unknown <> 0"


def check_sending_again(mailout: Mailout, known: Unanswered) -> None:
    """Raise a DomainError that says why nobody may decide about the unanswered messages, or not yet."""
    if mailout.state == MailoutState.CANCELLED:
        raise Conflict(_("This sending was stopped for good: nothing more of it leaves."))
    if mailout.state != MailoutState.FINISHED:
        raise Conflict(_("This sending is still under way. Decide when it is over."))
    if not known.people:
        raise Conflict(_("Nobody is without an answer."))
    now = database_now()
    if mailout.not_after is not None and mailout.not_after <= now:
        raise Conflict(_("It is past the time after which this email was to reach nobody."))
    if settings.SENDING_MODE == "dry_run" and not mailout.is_dry_run:
        raise Conflict(_("This installation sends nothing (SENDING_MODE=dry_run)."))
    require_belonging(
        organization=mailout.organization,
        account=mailout.account,
        emails=(),
        list_ids={*mailout.list_ids, *mailout.excluded_list_ids},
    )
    if known.latest_at is not None and now < known.latest_at + SIGNATURE_LIFE:
        until = timezone.localtime(known.latest_at + SIGNATURE_LIFE)
        raise Conflict(
            _("The provider may still accept what was handed over. Decide after %(time)s.")
            % {"time": until.strftime("%H:%M:%S")}
        )
    waiting_since = Inbox.objects.order_by("id").values_list("received_at", flat=True).first()
    if waiting_since is not None and now - waiting_since > NEWS_BEHIND:
        raise Conflict(_("News of the provider waits to be read: it may tell what became of them. Try again later."))


def send_again(*, mailout: Mailout, finished_at: datetime, actor: User | None) -> int:
    """Give everybody who is without an answer another attempt; return how many that are. Some may get the email twice.

    finished_at: the end of the mailout that was decided about, as it was shown. Raises Conflict when somebody else was
    faster, and a DomainError when it may not be; nothing was changed then.

    Locks as everywhere: messages by n, the mailout, batches. An event that proves a message accepted comes before, and
    its message is left alone, or after, and marks the one that waits.
    """
    params: dict[str, int | datetime] = {"mailout": mailout.pk, "finished_at": finished_at, "size": BATCH_SIZE}
    table = message_table(mailout.pk)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_LOCK.format(table=table), params)
        people = len(cursor.fetchall())
        mailout.refresh_from_db()
        check_sending_again(mailout, unanswered_of(mailout))
        cursor.execute(_REOPEN, params)
        if cursor.rowcount != 1:
            raise Conflict(_("Somebody else has decided meanwhile. Look again."))
        cursor.execute(_NOTE.format(table=table), params)
        cursor.execute(_AGAIN.format(table=table), params)
        batches = cursor.rowcount
        cursor.execute(_UNCOUNT, params)
        record(
            organization=mailout.organization,
            actor=actor,
            action=SENT_AGAIN,
            target=mailout,
            mailout_id=mailout.pk,
            people=people,
            batches=batches,
        )
        wake_engine()
    mailout.refresh_from_db()
    logger.warning("delivery.sent_again", mailout=mailout.pk, people=people, actor=actor.pk if actor else None)
    return people


def sent_again_words(people: int) -> str:
    """What was decided, for whoever decided it."""
    return ngettext(
        "%(n)s person is tried again.",
        "%(n)s people are tried again.",
        people,
    ) % {"n": people}
