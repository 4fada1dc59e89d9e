"""Take the provider's events out of SQS queues."""

from __future__ import annotations

import signal
from argparse import ArgumentParser
from threading import Event
from types import FrameType
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from delivery.providers.base import PermanentError, TransientError
from delivery.providers.ses.credentials import CredentialSource
from delivery.providers.ses.sqs import QueueAddress, SqsQueue, parse_queue_url
from webhooks.inbound.receiving import topics
from webhooks.polling import QueuePoller

logger = structlog.get_logger(__name__)


class Command(BaseCommand):
    """Poll until SIGTERM or Ctrl-C; what was taken by then is stored and deleted first."""

    help = (
        "Take the provider's events out of the SQS queues of EVENT_QUEUE_URLS, in the foreground, until SIGTERM. "
        "Needs sqs:ReceiveMessage, sqs:DeleteMessage and sqs:GetQueueAttributes; see docs/ses.md."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--connections",
            type=int,
            default=settings.EVENT_QUEUE_CONNECTIONS,
            help="connections per queue (EVENT_QUEUE_CONNECTIONS)",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        if not settings.EVENT_QUEUE_URLS:
            raise CommandError("No queue is configured: set EVENT_QUEUE_URLS, as docs/ses.md says.")
        try:
            queues = [_open(parse_queue_url(url)) for url in settings.EVENT_QUEUE_URLS]
        except PermanentError as error:
            raise CommandError(f"{error}. See docs/ses.md for the queue and its policy.") from error
        stopping = Event()

        def stop(_number: int, _frame: FrameType | None) -> None:
            stopping.set()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        pollers = [
            QueuePoller(queue, find=topics.find, stopping=stopping, connections=max(1, options["connections"]))
            for queue in queues
        ]
        for poller in pollers:
            poller.start()
        self.stdout.write(f"Polling {len(queues)} queue(s), {max(1, options['connections'])} connections each.")
        self.stdout.flush()
        stopping.wait()
        finished = [poller.finish() for poller in pollers]
        if not all(finished):
            raise CommandError("Some messages were still being stored; they come again.")


def _open(address: QueueAddress) -> SqsQueue:
    """Connect, and see whether we may. Raises PermanentError; SQS's passing troubles are the pollers' to wait for."""
    credentials = (
        CredentialSource(access_key=settings.LOCALSES_ACCESS_KEY, secret_key=settings.LOCALSES_SECRET_KEY)
        if address.is_local
        else CredentialSource()
    )
    if address.is_local and settings.IS_SERVER:
        raise PermanentError(f"{address.url!r} is a queue of Local SES, which no server listens to")
    queue = SqsQueue(address, credentials)
    try:
        attributes = queue.attributes()
    except TransientError as error:
        logger.warning("webhooks.queue_unreachable", queue=address.arn, reason=str(error))
        return queue
    logger.info(
        "webhooks.queue_found", queue=address.arn, waiting=attributes.get("ApproximateNumberOfMessages", "unknown")
    )
    return queue
