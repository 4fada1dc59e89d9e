"""Who stands behind a reader's token, and what their page shows. Tokens are verified before they come here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from django.db import connection
from django.utils import timezone

from delivery.compiling import resolve_link
from delivery.tokens import ManageToken, TrackToken
from organizations.models import Organization
from subscribers.models import List, Subscriber, Subscription, SubscriptionState

ATTRIBUTION_DAYS = 30


@dataclass(frozen=True, slots=True)
class Reader:
    """Whoever holds a manage token. Without a subscriber they were erased, or never were one (test sends)."""

    subscriber: Subscriber | None
    organization: Organization | None
    mailing_list: List | None  # the token's list while it exists


class MessageRef(NamedTuple):
    mailout_id: int
    n: int
    subscriber_id: int
    email_no: int
    list_id: int


@dataclass(frozen=True, slots=True)
class ListChoice:
    """A row of the preference page."""

    id: int
    name: str
    description: str
    is_public: bool
    is_on: bool


def find_reader(token: ManageToken) -> Reader:
    subscriber = Subscriber.objects.select_related("organization").filter(pk=token.subscriber_id).first()
    if subscriber is None:
        return Reader(None, None, None)
    lists = List.objects.for_organization(subscriber.organization).filter(pk=token.list_id)
    return Reader(subscriber, subscriber.organization, lists.first() if token.list_id else None)


def list_choices(subscriber: Subscriber) -> list[ListChoice]:
    """The public lists, and those that are not public but that the person is on."""
    states = dict(Subscription.objects.filter(subscriber=subscriber).values_list("list_id", "state"))
    choices = []
    for mailing_list in List.objects.for_organization(subscriber.organization).order_by("name"):
        is_on = states.get(mailing_list.pk) == SubscriptionState.SUBSCRIBED
        if mailing_list.is_public or is_on:
            choices.append(
                ListChoice(mailing_list.pk, mailing_list.name, mailing_list.description, mailing_list.is_public, is_on)
            )
    return choices


def find_message(token: TrackToken) -> MessageRef | None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT mailout_id, n, subscriber_id, email_no, list_id FROM delivery_message WHERE mailout_id = %s AND n = %s",
            [token.mailout_id, token.n],
        )
        row = cursor.fetchone()
    return MessageRef(*row) if row else None


def latest_message(subscriber: Subscriber, list_id: int) -> MessageRef | None:
    """The last message that the person got from us for a list (0: for any): what made them leave, most likely.

    Links in the text of an email carry no message, so that they work when it is gone.
    """
    since = timezone.now() - timedelta(days=ATTRIBUTION_DAYS)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT m.mailout_id, m.n, m.subscriber_id, m.email_no, m.list_id
              FROM delivery_mailout o
              JOIN delivery_message m ON m.mailout_id = o.id AND m.subscriber_id = %s
             WHERE o.organization_id = %s AND o.frozen_at > %s AND o.kind <> 'test' AND NOT o.is_dry_run
               AND m.sent_at IS NOT NULL AND (%s = 0 OR m.list_id = %s)
             ORDER BY m.sent_at DESC LIMIT 1
            """,
            [subscriber.pk, subscriber.organization_id, since, list_id, list_id],
        )
        row = cursor.fetchone()
    return MessageRef(*row) if row else None


@lru_cache(maxsize=4096)
def _emails(mailout_id: int) -> dict[int, int]:
    """Compiled emails of a mailout by number; they never change once there is a token. Raises LookupError."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT email_no, compiled_email_id FROM delivery_mailout_email WHERE mailout_id = %s", [mailout_id]
        )
        found = dict(cursor.fetchall())
    if not found:
        raise LookupError(mailout_id)
    return found


@lru_cache(maxsize=512)
def _links(compiled_id: int) -> dict[str, Any]:
    """The part of a compiled email that clicks need."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT payload->'links' FROM delivery_compiledemail WHERE id = %s", [compiled_id])
        row = cursor.fetchone()
    if row is None:
        raise LookupError(compiled_id)
    return {"links": orjson.loads(row[0]) if isinstance(row[0], str) else row[0]}


def compiled_email_id(token: TrackToken, message: MessageRef | None = None) -> int | None:
    """The compiled email of a message. Where a mailout has just one, the message itself need not exist any more."""
    try:
        emails = _emails(token.mailout_id)
    except LookupError:
        return None
    if len(emails) == 1:
        return next(iter(emails.values()))
    message = message or find_message(token)
    return emails.get(message.email_no) if message else None


def find_target(token: TrackToken, link_no: int, remainder: str | None) -> str | None:
    """Where a click leads: only ever an address stored with the email. The remainder's signature was checked."""
    compiled_id = compiled_email_id(token)
    if compiled_id is None:
        return None
    try:
        return resolve_link(_links(compiled_id), link_no, remainder)
    except LookupError:
        return None
