"""What came back from a sending, in people: machines are counted apart and in no rate."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection
from django.db.models import Sum

from delivery.models import CompiledEmail, EventType, Mailout, MailoutEmail, MessageState, StatEmail, StatLink
from delivery.selectors.unanswered import connection_words


@dataclass(frozen=True)
class Results:
    """People per fact. opened_by_machines and clicked_by_machines are people whose only readers were machines."""

    delivered: int
    bounced: int
    soft_bounced: int
    complained: int
    opened: int
    clicked: int
    unsubscribed: int
    opened_by_machines: int
    clicked_by_machines: int


@dataclass(frozen=True)
class LinkResult:
    """A link of the email, the people who pressed it and how often it was pressed."""

    label: str
    url: str
    people: int
    clicks: int
    share: float


@dataclass(frozen=True)
class ErrorGroup:
    """Messages that ended the same way, with the provider's or our words."""

    state: MessageState
    error: str
    people: int

    @property
    def words(self) -> str:
        """A sentence where no answer came; else the words as they are."""
        return (connection_words(self.error) if self.is_unanswered else "") or self.error or str(self.state.label)

    @property
    def is_unanswered(self) -> bool:
        return self.state == MessageState.UNKNOWN


def results_of(mailout: Mailout) -> Results:
    """Sum the roll-ups of a mailout: a handful of rows."""
    rows = (
        StatEmail.objects.filter(mailout_id=mailout.pk)
        .values("type")
        .annotate(all=Sum("uniq"), human=Sum("uniq_human"))
    )
    every = {row["type"]: row["all"] for row in rows}
    human = {row["type"]: row["human"] for row in rows}
    opened, clicked = human.get(EventType.OPENED, 0), human.get(EventType.CLICKED, 0)
    return Results(
        delivered=every.get(EventType.DELIVERED, 0),
        bounced=every.get(EventType.BOUNCED, 0),
        soft_bounced=every.get(EventType.SOFT_BOUNCED, 0),
        complained=every.get(EventType.COMPLAINED, 0),
        opened=opened,
        clicked=clicked,
        unsubscribed=every.get(EventType.UNSUBSCRIBED, 0),
        opened_by_machines=every.get(EventType.OPENED, 0) - opened,
        clicked_by_machines=every.get(EventType.CLICKED, 0) - clicked,
    )


def link_results(mailout: Mailout) -> list[LinkResult]:
    """The links of a mailout's emails, the most pressed first."""
    compiled = CompiledEmail.objects.filter(
        pk__in=MailoutEmail.objects.filter(mailout_id=mailout.pk).values("compiled_email")
    ).first()
    known = {link["no"]: link for link in compiled.links} if compiled else {}
    rows = list(
        StatLink.objects.filter(mailout_id=mailout.pk)
        .values("link_no")
        .annotate(clicks=Sum("total"), people=Sum("uniq_human"))
        .order_by("-people", "link_no")
    )
    most = max((row["people"] for row in rows), default=0)
    return [
        LinkResult(
            label=known.get(row["link_no"], {}).get("label") or known.get(row["link_no"], {}).get("url", ""),
            url=known.get(row["link_no"], {}).get("url", ""),
            people=row["people"],
            clicks=row["clicks"],
            share=round(100 * row["people"] / most, 1) if most else 0.0,
        )
        for row in rows
    ]


def error_groups(mailout: Mailout, *, limit: int = 8) -> list[ErrorGroup]:
    """Failed and unknown messages by their words. One scan of the mailout's rows: for the page of a finished one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT state, coalesce(error, ''), count(*) FROM delivery_message"
            " WHERE mailout_id = %s AND state = ANY(%s) GROUP BY 1, 2 ORDER BY 3 DESC, 2 LIMIT %s",
            [mailout.pk, [int(MessageState.FAILED), int(MessageState.UNKNOWN)], limit],
        )
        return [ErrorGroup(MessageState(state), error, people) for state, error, people in cursor.fetchall()]
