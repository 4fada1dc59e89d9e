"""Unsubscribing and preferences.

No CSRF token and no cookie: the token in the address is the secret, it names its person and list by itself, and mail
providers post without either (RFC 8058). GET and HEAD change nothing, for scanners follow every link.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from amazonsender.core.errors import Conflict
from amazonsender.core.throttle import truncated_address
from delivery.event_tasks import wake_processor
from delivery.selectors.readers import Reader, find_reader, list_choices
from delivery.services.leaving import choose_lists, come_back, leave, tell_reason
from delivery.tokens import TrackToken, read_manage_token, read_track_token
from delivery.views.pages import invalid_link, private, render_page
from subscribers.models import ConsentRecord, SubscriberStatus

REASONS = {
    "often": gettext_lazy("Too many emails"),
    "unexpected": gettext_lazy("Not what I expected"),
    "never": gettext_lazy("I never signed up"),
    "other": gettext_lazy("Something else"),
}
# What the page said when somebody came back: part of the consent record.
TEXT_BACK = "That was a mistake, take me back"
TEXT_SAVED = "Lists chosen on the preference page"
_METHODS = ["GET", "HEAD", "POST"]


def _agent(request: HttpRequest) -> str:
    return str(request.META.get("HTTP_USER_AGENT", "")).replace("\0", "")[:300]


def _track(request: HttpRequest) -> TrackToken | None:
    """The message whose List-Unsubscribe header brought the reader here."""
    return read_track_token(request.GET.get("m", ""))


@csrf_exempt
@require_http_methods(_METHODS)
def unsubscribe(request: HttpRequest, manage: str) -> HttpResponse:
    """GET asks, POST acts; a provider's one-click POST is answered in plain text, and never with a redirect."""
    token = read_manage_token(manage)
    if token is None:
        return invalid_link(request)
    reader = find_reader(token)
    if request.method != "POST":
        return render_page(request, "unsubscribe", reader, mailing_list=reader.mailing_list, manage=manage)
    if request.POST.get("List-Unsubscribe") == "One-Click":
        _leave(request, reader, everything=False, method=ConsentRecord.Method.ONE_CLICK)
        return private(HttpResponse("Unsubscribed.\n", content_type="text/plain; charset=utf-8"))
    if "why" in request.POST:
        return _reason_told(request, reader, manage)
    if "back" in request.POST:
        return _come_back(request, reader, manage)
    everything = "everything" in request.POST or reader.mailing_list is None
    _leave(request, reader, everything=everything, method=ConsentRecord.Method.PAGE)
    return _done(request, reader, manage, everything=everything)


def _leave(request: HttpRequest, reader: Reader, *, everything: bool, method: str) -> None:
    if reader.subscriber is None:
        return  # erased: nobody gets anything
    changed = leave(
        subscriber=reader.subscriber,
        # The list of an old link may be gone: whoever clicks it wants no mail, so then everything ends.
        list_id=None if everything or reader.mailing_list is None else reader.mailing_list.pk,
        method=method,
        at=timezone.now(),
        ip=truncated_address(request),
        user_agent=_agent(request),
        track=_track(request),
    )
    if changed:
        wake_processor()


def _done(request: HttpRequest, reader: Reader, manage: str, *, everything: bool, thanks: bool = False) -> HttpResponse:
    return render_page(
        request,
        "unsubscribed",
        reader,
        mailing_list=None if everything else reader.mailing_list,
        everything=everything,
        manage=manage,
        thanks=thanks,
        reasons=REASONS.items(),
    )


def _reason_told(request: HttpRequest, reader: Reader, manage: str) -> HttpResponse:
    reason = request.POST.get("why", "")
    if reader.subscriber is not None and reason in REASONS:
        tell_reason(subscriber=reader.subscriber, reason=reason, at=timezone.now())
    return _done(request, reader, manage, everything="everything" in request.POST, thanks=True)


def _come_back(request: HttpRequest, reader: Reader, manage: str) -> HttpResponse:
    error = ""
    if reader.subscriber is not None:
        everything = "everything" in request.POST or reader.mailing_list is None
        try:
            come_back(
                subscriber=reader.subscriber,
                list_id=None if everything or reader.mailing_list is None else reader.mailing_list.pk,
                at=timezone.now(),
                ip=truncated_address(request),
                user_agent=_agent(request),
                text=TEXT_BACK,
            )
        except Conflict as conflict:
            error = str(conflict)
        reader.subscriber.refresh_from_db(fields=["status"])
    return _preferences_page(request, reader, manage, saved=not error, error=error)


@csrf_exempt
@require_http_methods(_METHODS)
def preferences(request: HttpRequest, manage: str) -> HttpResponse:
    """The lists a reader is on and may join. Works as long as the key of its token is kept."""
    token = read_manage_token(manage)
    if token is None:
        return invalid_link(request)
    reader = find_reader(token)
    if request.method != "POST" or reader.subscriber is None:
        return _preferences_page(request, reader, manage)
    error = ""
    try:
        changed = choose_lists(
            subscriber=reader.subscriber,
            list_ids=[int(value) for value in request.POST.getlist("list") if value.isdecimal() and len(value) < 19],
            at=timezone.now(),
            ip=truncated_address(request),
            user_agent=_agent(request),
            text=TEXT_SAVED,
            track=_track(request),
        )
        if changed:
            wake_processor()
    except Conflict as conflict:
        error = str(conflict)
    return _preferences_page(request, find_reader(token), manage, saved=not error, error=error)


def _preferences_page(
    request: HttpRequest, reader: Reader, manage: str, *, saved: bool = False, error: str = ""
) -> HttpResponse:
    subscriber = reader.subscriber
    return render_page(
        request,
        "preferences",
        reader,
        choices=list_choices(subscriber) if subscriber else [],
        has_left=subscriber is None or subscriber.status != SubscriberStatus.ACTIVE,
        manage=manage,
        saved=saved,
        error=error,
    )
