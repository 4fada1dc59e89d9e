"""The door for services other than Amazon: one address an account, believed by that account's key or secret alone."""

from __future__ import annotations

import structlog
from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from delivery.event_tasks import wake_processor
from delivery.models import SendingAccount
from delivery.providers.base import ForgedRequestError, PermanentError, UnreadableRequestError
from delivery.providers.registry import inbound_of
from delivery.services.events.reports import store_report
from delivery.services.inbound import events_url
from delivery.services.providers import options_of

logger = structlog.get_logger(__name__)


@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def receive_account(request: HttpRequest, account_id: str) -> HttpResponse:
    """Take a service's report. GET and HEAD are how some services see whether there is anybody.

    404 for what does not exist, and where no key or secret was entered: nothing could be believed. Stored is what was
    checked, each event once; 503 asks for another try.
    """
    try:
        return _receive(request, int(account_id))
    except (RequestDataTooBig, UnreadablePostError) as error:
        logger.warning("webhooks.account_too_large_or_cut", account=account_id, error=type(error).__name__)
        return HttpResponse(status=413 if isinstance(error, RequestDataTooBig) else 503)
    except ForgedRequestError as error:
        logger.warning("webhooks.account_forged", account=account_id, reason=str(error))
        return HttpResponse(status=403)
    except UnreadableRequestError as error:
        logger.warning("webhooks.account_garbage", account=account_id, reason=str(error))
        return HttpResponse(status=400)
    except DatabaseError as error:
        logger.warning("webhooks.account_try_again", account=account_id, error=type(error).__name__)
        return HttpResponse(status=503)


def _receive(request: HttpRequest, account_id: int) -> HttpResponse:
    account = SendingAccount.objects.filter(pk=account_id).first()
    inbound = inbound_of(account.provider) if account is not None else None
    if account is None or inbound is None:
        return HttpResponse(status=404)
    try:
        options = {"variant": account.variant, **options_of(account), "events_url": events_url(account)}
    except PermanentError:
        return HttpResponse(status=404)
    if not inbound.is_guarded(options):
        logger.warning("webhooks.account_unguarded", account=account_id)
        return HttpResponse(status=404)
    if request.method != "POST":
        return HttpResponse()
    request.body  # noqa: B018 - read whole and bounded before anybody looks at it
    now = timezone.now()
    events = inbound.read(request, options)
    is_new = [store_report(account_id=account_id, event=event, now=now) for event in events]
    if any(is_new):
        wake_processor()
    return HttpResponse()
