"""Test sends: to the test recipients, as a chosen subscriber, as often as wanted, and never to the list."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from uuid import uuid4

from django.conf import settings
from django.db import connection, transaction
from django.utils.translation import gettext as _

from amazonsender.core.correlation import origin
from amazonsender.core.errors import InvalidInput
from delivery.models import (
    CompiledEmail,
    Lane,
    Mailout,
    MailoutEmail,
    MailoutKind,
    MessageAddress,
    MessageBatch,
    SendingAccount,
)
from delivery.services.belonging import require_belonging
from delivery.services.launching import wake_engine
from delivery.services.mailouts import new_mailout_id
from delivery.services.partitions import ensure_partitions
from organizations.models import Organization, User
from subscribers.addresses import InvalidAddress, canonical
from subscribers.models import Subscriber

MOST_RECIPIENTS = 50


def send_test(
    *,
    organization: Organization,
    account: SendingAccount | None,
    compiled: CompiledEmail,
    recipients: Sequence[str],
    preview_subscriber: Subscriber | None,
    name: str,
    sender: str,
    reply_to: str = "",
    created_by: User | None = None,
) -> Mailout:
    """Send one compiled email to a few addresses that need not be subscribers.

    In no statistic, cap or history of people. Without an account, or with SENDING_MODE=dry_run, it only simulates.
    Raises InvalidInput for no recipients, too many, or an address that can't be mailed; NotFound for what is another
    organization's.
    """
    addresses = _addresses(recipients)
    is_dry_run = settings.SENDING_MODE == "dry_run"
    if account is None and not is_dry_run:
        raise InvalidInput(_("Choose a sending account."))
    require_belonging(organization=organization, account=account, emails=[compiled], subscriber=preview_subscriber)
    now = datetime.now(UTC)
    ensure_partitions(at=now)
    with transaction.atomic():
        mailout = Mailout.objects.create(
            id=new_mailout_id(at=now),
            organization=organization,
            account=None if is_dry_run else account,
            kind=MailoutKind.TEST,
            lane=Lane.TRANSACTIONAL,
            is_dry_run=is_dry_run,
            name=name[:300],
            idempotency_key=f"test:{uuid4()}",
            sender=sender,
            reply_to=reply_to,
            preview_subscriber_id=preview_subscriber.pk if preview_subscriber else None,
            candidates=len(addresses),
            eligible=len(addresses),
            created_by=created_by,
            frozen_at=now,
            **origin()._asdict(),
        )
        MailoutEmail.objects.create(mailout_id=mailout.pk, email_no=0, compiled_email=compiled)
        MessageAddress.objects.bulk_create(
            [
                MessageAddress(mailout_id=mailout.pk, n=n, address=address)
                for n, address in enumerate(addresses, start=1)
            ]
        )
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO delivery_message (subscriber_id, occurrence, mailout_id, n) VALUES (0, %s, %s, %s)",
                [(occurrence_of(address), mailout.pk, n) for n, address in enumerate(addresses, start=1)],
            )
        MessageBatch.objects.create(
            mailout_id=mailout.pk,
            account_id=mailout.account_id or 0,
            organization_id=organization.pk,
            lane=mailout.lane,
            email_no=0,
            lo=1,
            hi=len(addresses) + 1,
            armed_to=1,
            due_at=now,
        )
    wake_engine()
    return mailout


def occurrence_of(key: str) -> int:
    """A signed 64-bit number of a text: what tells apart recipients who are no subscribers."""
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big", signed=True)


def _addresses(recipients: Sequence[str]) -> list[str]:
    wire: dict[str, str] = {}
    for recipient in recipients:
        try:
            address = canonical(recipient)
        except InvalidAddress as error:
            raise InvalidInput(f"{recipient}: {error}") from error
        wire.setdefault(address.key, address.wire)
    if not wire:
        raise InvalidInput(_("Name at least one test recipient."))
    if len(wire) > MOST_RECIPIENTS:
        raise InvalidInput(_("A test goes to at most %(n)d people.") % {"n": MOST_RECIPIENTS})
    return list(wire.values())
