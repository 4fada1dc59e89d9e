"""A sent mailout in the ledger, without the engine: what event processing finds."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from delivery.models import BatchState, Mailout, Message, MessageBatch, MessageState
from delivery.services.partitions import MAILOUTS_PER_MONTH, month_number
from organizations.models import Organization
from subscribers.models import Domain, Subscriber
from tests.delivery.events.notifications import event

_numbers = itertools.count(1)

SENT_AT = datetime(2026, 11, 3, 10, 0, tzinfo=UTC)
DELIVERED_AT = datetime(2026, 11, 3, 10, 0, 3, 512000, tzinfo=UTC)


def make_subscriber(organization: Organization, email: str, **fields: object) -> Subscriber:
    domain, _ = Domain.objects.get_or_create(name=email.rpartition("@")[2].lower())
    return Subscriber.objects.create(
        organization=organization, email=email, address_key=email.lower(), domain=domain, **fields
    )


def make_mailout(organization: Organization, **fields: object) -> Mailout:
    number = next(_numbers)
    values: dict[str, object] = {
        "kind": "campaign",
        "lane": 2,
        "name": f"Letter {number}",
        "idempotency_key": f"test:{number}",
        "sender": "Acme <hello@acme.example>",
        "frozen_at": timezone.now() - timedelta(days=1),
    }
    mailout_id = month_number(timezone.now()) * MAILOUTS_PER_MONTH + number
    return Mailout.objects.create(id=mailout_id, organization=organization, **(values | fields))


def add_message(
    mailout: Mailout,
    n: int,
    subscriber: Subscriber | None,
    *,
    state: MessageState = MessageState.SENT,
    **fields: object,
) -> None:
    """One message; its address hash is that of the subscriber's address now."""
    values: dict[str, Any] = {
        "mailout_id": mailout.pk,
        "n": n,
        "subscriber_id": subscriber.pk if subscriber else 0,
        "occurrence": 0 if subscriber else n,
        "domain_id": subscriber.domain_id if subscriber else 0,
        "state": int(state),
    }
    if state == MessageState.SENT:
        values |= {"provider_id": f"ses-{mailout.pk}-{n}", "sent_at": SENT_AT}
    values |= fields
    names = ", ".join(values)
    marks = ", ".join("%s" for _ in values)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO delivery_message ({names}, address_hash) VALUES ({marks}, hashtext(%s))",
            [*list(values.values()), subscriber.address_key if subscriber else ""],
        )


def add_batch(mailout: Mailout, lo: int, hi: int, **fields: object) -> MessageBatch:
    values: dict[str, object] = {
        "account_id": 0,
        "organization_id": mailout.organization_id,
        "lane": 2,
        "email_no": 0,
        "armed_to": hi,
        "state": BatchState.DONE,
        "due_at": timezone.now(),
    }
    return MessageBatch.objects.create(mailout_id=mailout.pk, lo=lo, hi=hi, **(values | fields))


def message(mailout: Mailout, n: int = 1) -> Message:
    return Message.objects.get(mailout_id=mailout.pk, n=n)


def about(name: str, mailout: Mailout, n: int = 1, **fields: Any) -> dict[str, Any]:
    return event(name, mailout_id=mailout.pk, n=n, **fields)
