"""Messages: the ledger by mailout, by person, and each message's history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils.dateparse import parse_datetime
from django.utils.text import slugify
from django.utils.translation import gettext as _

from delivery.models import EventType, Mailout, MailoutKind, MessageState, Verdict
from delivery.selectors.mailouts import list_mailouts
from delivery.selectors.messages import (
    HistoryEntry,
    MessageRow,
    export_messages,
    list_messages,
    message_history,
    subscriber_messages,
)
from delivery.selectors.progress import mailout_account, mailout_progress
from delivery.selectors.unanswered import connection_words, unanswered_call
from organizations.access import access
from organizations.admin.pages import admin_page, render_page
from organizations.requests import allowed, organization_of
from organizations.templatetags.ui import moment
from subscribers.addresses import InvalidAddress, canonical
from subscribers.models import Subscriber

PAGE = 50
STATES = {state.name.lower(): state for state in MessageState}
# The pill of each state: colour and icon.
PILLS = {
    MessageState.QUEUED: "scheduled",
    MessageState.SENT: "sent",
    MessageState.SIMULATED: "off",
    MessageState.FAILED: "failed",
    MessageState.UNKNOWN: "paused",
    MessageState.EXCLUDED: "off",
    MessageState.CANCELLED: "cancelled",
    MessageState.HELD: "scheduled",
}


@admin_page("messages/", name="messages", permission="message:view")
def messages(request: HttpRequest) -> HttpResponse:
    """Everything that was sent, tests and dry runs too; an address finds one person's mail."""
    organization = organization_of(request)
    query = request.GET.get("q", "").strip()[:320]
    if query:
        person = _find(request, query)
        rows = subscriber_messages(organization=organization, subscriber_id=person.pk, limit=PAGE) if person else []
        names = dict(Mailout.objects.filter(pk__in={row.mailout_id for row in rows}).values_list("pk", "name"))
        return render_page(
            request,
            "delivery/person_messages.html",
            title=_("Messages"),
            q=query,
            person=person,
            rows=[(row, names.get(row.mailout_id, ""), *described(row)) for row in rows],
            is_fullwidth="1",
        )
    page = list_mailouts(organization, before=_number(request.GET.get("before")))
    return render_page(
        request,
        "delivery/mailouts.html",
        title=_("Messages"),
        mailouts=page.mailouts,
        older_than=page.older_than,
        is_first="before" not in request.GET,
        campaign_kind=MailoutKind.CAMPAIGN,
        is_fullwidth="1",
    )


@admin_page("messages/<int:pk>/", name="mailout_messages", permission="message:view")
def mailout_messages(request: HttpRequest, pk: int) -> HttpResponse:
    """The messages of one mailout, by state."""
    mailout = _mailout(request, pk)
    state = STATES.get(request.GET.get("state", ""))
    rows = list_messages(mailout=mailout, after_n=_number(request.GET.get("after")), limit=PAGE + 1, state=state)
    more, rows = len(rows) > PAGE, rows[:PAGE]
    counts = _counts(mailout)
    return render_page(
        request,
        "delivery/messages.html",
        title=mailout.name,
        mailout=mailout,
        rows=[(row, *described(row)) for row in rows],
        tabs=[(name, STATES[name].label, n) for name, n in counts.items() if n or STATES[name] == state],
        total=sum(counts.values()),
        state=state.name.lower() if state is not None else "",
        after=rows[-1].n if more else 0,
        may_export=allowed(request, "message:export"),
        is_fullwidth="1",
    )


@admin_page("messages/<int:pk>/export.csv", name="mailout_export", permission="message:export")
def export(request: HttpRequest, pk: int) -> HttpResponse:
    """Every message as CSV, streamed."""
    mailout = _mailout(request, pk)
    response = StreamingHttpResponse(export_messages(mailout), content_type="text/csv; charset=utf-8")
    name = slugify(mailout.name) or "messages"
    response["Content-Disposition"] = f'attachment; filename="{name}-{mailout.pk}.csv"'
    return cast(HttpResponse, response)  # Django types a streaming response as a cousin, not a child


@admin_page("messages/<int:pk>/<int:n>/", name="message", permission="message:view")
def message(request: HttpRequest, pk: int, n: int) -> HttpResponse:
    """One message: what we did, what the provider and the reader did."""
    mailout = _mailout(request, pk)
    row, events = message_history(organization=organization_of(request), mailout_id=mailout.pk, n=n)
    return render_page(
        request,
        "delivery/message.html",
        title=row.address or _("Erased"),
        mailout=mailout,
        row=row,
        pill_key=described(row)[0],
        pill_label=described(row)[1],
        note=described(row)[2],
        timeline=timeline(mailout, row, events),
        is_fullwidth="1",
    )


@dataclass(frozen=True)
class Moment:
    """One line of a timeline."""

    at: object
    tone: str
    what: str
    detail: str


def timeline(mailout: Mailout, row: MessageRow, events: list[HistoryEntry]) -> list[Moment]:
    """Everything that happened to a message, the newest first."""
    moments = [Moment(mailout.frozen_at, "", _("Put on the list of this sending"), "")]
    if row.state == MessageState.EXCLUDED:
        moments.append(Moment(mailout.frozen_at, "edit", _("Left out"), str(row.reason.label)))
    if row.sent_at:
        what = _("Simulated") if row.state == MessageState.SIMULATED else _("Sent")
        moments.append(Moment(row.sent_at, "", what, row.provider_id))
    if row.state == MessageState.FAILED:
        moments.append(Moment(row.sent_at or mailout.frozen_at, "stop", _("Failed"), row.error))
    if row.state == MessageState.UNKNOWN:
        call = unanswered_call(mailout, n=row.n, attempt=row.attempt)
        since = _("The provider has not mentioned it since. It may have gone out, so no machine sends it twice.")
        at = call.handed_over_at if call else None
        moments.append(_without_answer(at or mailout.frozen_at, row.error, str(call.call_id) if call else "", since))
    for event in (event for event in events if event.type != EventType.SENT):
        moments += _sent_again(event) if event.type == EventType.SENT_AGAIN else [_moment(event)]
    return sorted(moments, key=lambda moment: str(moment.at), reverse=True)


def _without_answer(at: object, error: str, call: str, since: str) -> Moment:
    said = [connection_words(error) or error, _("Handed over in call %(id)s.") % {"id": call} if call else "", since]
    return Moment(at, "warn", _("No answer from the provider"), " ".join(filter(None, said)))


def _sent_again(event: HistoryEntry) -> list[Moment]:
    """Somebody's decision, and the attempt without an answer that it was about."""
    told = event.detail
    moments = [Moment(event.at, "", str(event.type.label), _("Somebody decided so: no answer had come."))]
    handed_over = parse_datetime(told.get("handed_over_at", ""))
    if handed_over is not None:
        moments.append(_without_answer(handed_over, told.get("said", ""), told.get("call", ""), ""))
    return moments


def _moment(event: HistoryEntry) -> Moment:
    is_machine = event.verdict == Verdict.MACHINE
    tones = {
        EventType.BOUNCED: "stop",
        EventType.COMPLAINED: "stop",
        EventType.REJECTED: "stop",
        EventType.FAILED: "stop",
        EventType.SOFT_BOUNCED: "warn",
        EventType.DEFERRED: "warn",
        EventType.UNSUBSCRIBED: "edit",
    }
    tone = "machine" if is_machine else tones.get(event.type, "ok")
    return Moment(event.at, tone, str(event.type.label), _detail(event, is_machine))


def _detail(event: HistoryEntry, is_machine: bool) -> str:
    if is_machine:
        return _("by a machine; not counted")
    if event.type == EventType.CLICKED and event.link_no:
        return _("link %(n)s") % {"n": event.link_no}
    for key in (
        "diagnostic",
        "diagnostic_code",
        "reason",
        "sub_type",
        "bounce_sub_type",
        "feedback_type",
        "user_agent",
    ):
        if event.detail.get(key):
            return str(event.detail[key])[:300]
    return ""


def described(row: MessageRow) -> tuple[str, str, str]:
    """Pill, word and a note for a message: the latest thing that matters about it."""
    if row.state == MessageState.EXCLUDED:
        return "off", str(MessageState.EXCLUDED.label), str(row.reason.label)
    if row.state == MessageState.FAILED:
        return "failed", str(MessageState.FAILED.label), row.error
    if row.state == MessageState.UNKNOWN:
        return PILLS[row.state], str(row.state.label), connection_words(row.error)
    facts = (
        (row.complained_at, "failed", _("Complained")),
        (row.bounced_at, "failed", _("Bounced")),
        (row.unsubscribed_at, "paused", _("Unsubscribed")),
        (row.clicked_human_at, "sent", _("Clicked")),
        (row.opened_human_at, "sent", _("Opened")),
        (row.delivered_at, "sent", _("Delivered")),
    )
    for at, pill, word in facts:
        if at is not None:
            return pill, word, moment(at)
    note = moment(row.sent_at) if row.sent_at else ""
    return PILLS[row.state], str(row.state.label), note


def _counts(mailout: Mailout) -> dict[str, int]:
    """How many messages are in each state: summed from batches while it runs, exact afterwards."""
    if not mailout.is_open:
        return mailout_account(mailout).states
    progress = mailout_progress(mailout)
    return {
        "sent": progress.sent,
        "simulated": progress.simulated,
        "queued": progress.waiting,
        "failed": progress.failed,
        "unknown": progress.unknown,
        "excluded": progress.excluded,
        "cancelled": progress.cancelled,
    }


def _find(request: HttpRequest, query: str) -> Subscriber | None:
    try:
        key = canonical(query).key
    except InvalidAddress:
        return None
    return Subscriber.objects.for_organization(organization_of(request)).filter(address_key=key).first()


def _mailout(request: HttpRequest, pk: int) -> Mailout:
    return access(Mailout.objects.select_related("account"), organization=organization_of(request), pk=pk)


def _number(value: str | None) -> int:
    return int(value) if value and value.isdecimal() and len(value) < 10 else 0
