"""Doors for other services. 4xx is final for SNS and loses the event: it is for forgeries and garbage alone."""

from __future__ import annotations

import structlog
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from delivery.event_tasks import wake_processor
from delivery.providers.base import ProviderError
from webhooks.inbound.certificates import CertificateUnavailableError
from webhooks.inbound.receiving import Receipt, receive_sns
from webhooks.inbound.sns import ForgedError, GarbageError, RawDeliveryError

logger = structlog.get_logger(__name__)

# SNS's limit is 256 KB, and inside the envelope every quotation mark is escaped once more.
MAX_BODY = 2 * 256 * 1024 + 16 * 1024


@csrf_exempt
@require_POST
def receive_ses(request: HttpRequest, rest: str = "") -> HttpResponse:
    """Take an SNS message, whatever its content type says: SNS posts JSON as text/plain."""
    try:
        body = request.read(MAX_BODY + 1)
    except (UnreadablePostError, OSError):
        return HttpResponse(status=503)
    if len(body) > MAX_BODY:
        logger.warning("webhooks.sns_too_large")
        return HttpResponse(status=413)
    try:
        receipt = receive_sns(body)
    except RawDeliveryError:
        logger.warning(
            "webhooks.sns_raw_delivery",
            hint="Turn raw message delivery off for this subscription: without its envelope no message is signed.",
        )
        return HttpResponse(status=403)
    except GarbageError as error:
        logger.warning("webhooks.sns_garbage", reason=str(error))
        return HttpResponse(status=400)
    except ForgedError as error:
        logger.warning("webhooks.sns_forged", reason=str(error))
        return HttpResponse(status=403)
    except (CertificateUnavailableError, ProviderError, DatabaseError) as error:
        logger.warning("webhooks.sns_try_again", error=type(error).__name__, reason=str(error)[:200])
        return HttpResponse(status=503)
    if receipt is Receipt.STORED:
        wake_processor()
    return HttpResponse(status=200)
