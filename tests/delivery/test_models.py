"""What a row calls itself, in logs and in the admin."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.db import models

from delivery.models import (
    AccountGrant,
    AccountPace,
    AccountTurn,
    AccountUsage,
    DeliveryEvent,
    EngineHome,
    EngineSlot,
    EventType,
    Inbox,
    InboxDead,
    InboxSeen,
    Mailout,
    MailoutCounter,
    MailoutEmail,
    Message,
    MessageAddress,
    MessageBatch,
    SendCall,
    SenderIdentity,
    SendingDomain,
    StatDomain,
    StatEmail,
    StatHour,
    StatLink,
)

AT = datetime(2026, 11, 25, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("row", "name"),
    [
        (AccountGrant(account_id=1, organization_id=2), "account 1 for organization 2"),
        (SenderIdentity(identity="news@example.com"), "news@example.com"),
        (SendingDomain(name="example.com"), "example.com"),
        (AccountPace(account_id=1), "pace of account 1"),
        (AccountUsage(account_id=1, minute=AT, n=7), "account 1 04:05: 7"),
        (AccountTurn(organization_id=2), "turn of organization 2"),
        (MailoutEmail(mailout_id=5, email_no=1), "email 1 of mailout 5"),
        (EngineSlot(n=3), "slot 3"),
        (EngineHome(public_url="https://mail.example"), "https://mail.example"),
        (MailoutCounter(month=82, last=4), "month 82: 4"),
        (Message(mailout_id=5, n=6), "message 6 of mailout 5"),
        (MessageAddress(address="one@example.com"), "one@example.com"),
        (MessageBatch(id=8, mailout_id=5), "batch 8 of mailout 5"),
        (Mailout(name="Letter"), "Letter"),
        (SendCall(id=UUID(int=1)), "00000000-0000-0000-0000-000000000001"),
        (DeliveryEvent(mailout_id=5, n=6, type=EventType.BOUNCED), "Bounced 5/6"),
        (StatEmail(mailout_id=5, email_no=1, type=2, total=9), "5 2: 9"),
        (StatHour(mailout_id=5, hour=AT, type=2, total=9), "5 2026-11-25 04:05:00+00:00 2: 9"),
        (StatDomain(mailout_id=5, domain_id=3, type=2, total=9), "5 3 2: 9"),
        (StatLink(mailout_id=5, link_no=3, total=9), "5 link 3: 9"),
        (Inbox(id=4), "inbox 4"),
        (InboxDead(id=4), "dead 4"),
        (InboxSeen(digest=b"\1\2"), "0102"),
    ],
)
def test_a_row_names_itself(row: models.Model, name: str) -> None:
    assert str(row) == name
