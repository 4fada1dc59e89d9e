"""Messages without an answer from the provider: what is known, and the decision to send them again."""

from __future__ import annotations

from datetime import datetime

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from amazonsender.core.errors import Conflict, DomainError
from delivery.models import Mailout
from delivery.selectors.unanswered import (
    Unanswered,
    connection_words,
    knowledge_words,
    times_sent_again,
    unanswered_of,
)
from delivery.services.resending import check_sending_again, send_again, sent_again_words
from organizations.access import access
from organizations.admin.pages import admin_page, render_page
from organizations.requests import allowed, organization_of, user_of

CALLS_SHOWN = 12


@admin_page(
    "messages/<int:pk>/unanswered/",
    name="mailout_unanswered",
    permission="message:view",
    post_permission="message:send_again",
)
def unanswered(request: HttpRequest, pk: int) -> HttpResponse:
    """Say what is known of those without an answer; a POST sends to them again, once for the end that it names."""
    mailout = access(
        Mailout.objects.select_related("account", "organization"), organization=organization_of(request), pk=pk
    )
    if request.method == "POST":
        _decide(request, mailout)
        return redirect("admin:mailout_unanswered", pk=pk)
    known = unanswered_of(mailout)
    return render_page(
        request,
        "delivery/unanswered.html",
        title=mailout.name,
        mailout=mailout,
        known=known,
        calls=[(call, connection_words(call.error) or call.error) for call in known.calls[:CALLS_SHOWN]],
        more=len(known.calls[CALLS_SHOWN:]),
        silence="" if mailout.is_dry_run else knowledge_words(known),
        obstacle=_obstacle(mailout, known),
        may_send_again=allowed(request, "message:send_again"),
        finished_at=mailout.finished_at.isoformat() if mailout.finished_at else "",
        times_sent_again=times_sent_again(mailout),
        is_fullwidth="1",
    )


def _decide(request: HttpRequest, mailout: Mailout) -> None:
    try:
        people = send_again(mailout=mailout, finished_at=_decided_about(request), actor=user_of(request))
    except DomainError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, sent_again_words(people))


def _decided_about(request: HttpRequest) -> datetime:
    """The end of the mailout that the page showed. Raises Conflict for a form that names none."""
    try:
        shown = parse_datetime(request.POST.get("finished_at", ""))
    except ValueError:
        shown = None
    if shown is None or shown.tzinfo is None:
        raise Conflict(_("Somebody else has decided meanwhile. Look again."))
    return shown


def _obstacle(mailout: Mailout, known: Unanswered) -> str:
    try:
        check_sending_again(mailout, known)
    except DomainError as error:
        return str(error)
    return ""
