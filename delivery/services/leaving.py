"""Readers leave, come back, and say what they want: consent first, the message's own record after it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import structlog
from django.db import DatabaseError, transaction

from delivery.models import EventType
from delivery.selectors.readers import MessageRef, find_message, latest_message, list_choices
from delivery.services.events import store_reader_act
from delivery.tokens import TrackToken
from subscribers.models import ConsentRecord, Subscriber
from subscribers.services import consent

logger = structlog.get_logger(__name__)

REASON_WINDOW = timedelta(hours=1)


def leave(
    *,
    subscriber: Subscriber,
    list_id: int | None,
    method: str,
    at: datetime,
    ip: str,
    user_agent: str,
    track: TrackToken | None = None,
) -> bool:
    """Take a reader off a list, or off everything with None; say whether that changed anything.

    track: the message whose header was used. Otherwise the last one that the person got is held to be the cause.
    """
    message = _cause(subscriber, list_id, track)
    changed = consent.unsubscribe(
        subscriber=subscriber,
        list_id=list_id,
        method=method,
        at=at,
        ip=ip,
        user_agent=user_agent,
        mailout_id=message.mailout_id if message else None,
        n=message.n if message else None,
    )
    if changed and message is not None:
        _note(message, at, ip, user_agent)
    return changed


def come_back(
    *, subscriber: Subscriber, list_id: int | None, at: datetime, ip: str, user_agent: str, text: str
) -> bool:
    """Undo leaving. Raises Conflict for somebody who complained or whose mailbox bounced."""
    return consent.resubscribe(
        subscriber=subscriber,
        list_id=list_id,
        method=ConsentRecord.Method.PAGE,
        at=at,
        ip=ip,
        user_agent=user_agent,
        text=text,
    )


@transaction.atomic
def choose_lists(
    *,
    subscriber: Subscriber,
    list_ids: Iterable[int],
    at: datetime,
    ip: str,
    user_agent: str,
    text: str,
    track: TrackToken | None = None,
) -> bool:
    """Put the reader on exactly the chosen lists among those that their page shows; say whether anything changed.

    A list that is not public can be left here, not joined. Raises Conflict for somebody who may not come back.
    """
    choices = list_choices(subscriber)
    wanted = set(list_ids) & {choice.id for choice in choices}
    was_on = {choice.id for choice in choices if choice.is_on}
    message = _cause(subscriber, None, track) if was_on - wanted else None
    mailout_id, n = (message.mailout_id, message.n) if message else (None, None)
    changed = consent.set_preferences(
        subscriber=subscriber,
        list_ids=wanted & {choice.id for choice in choices if choice.is_public},
        method=ConsentRecord.Method.PAGE,
        at=at,
        ip=ip,
        user_agent=user_agent,
        text=text,
        mailout_id=mailout_id,
        n=n,
    )
    for choice in choices:
        if choice.is_on and not choice.is_public and choice.id not in wanted:
            left = consent.unsubscribe(
                subscriber=subscriber,
                list_id=choice.id,
                method=ConsentRecord.Method.PAGE,
                at=at,
                ip=ip,
                user_agent=user_agent,
                mailout_id=mailout_id,
                n=n,
            )
            changed = changed or left
    if message is not None and changed:
        _note(message, at, ip, user_agent)
    return changed


def tell_reason(*, subscriber: Subscriber, reason: str, at: datetime) -> bool:
    """Keep why somebody left, as a record of its own beside the one of leaving; once, within an hour of it."""
    last = ConsentRecord.objects.filter(subscriber=subscriber).order_by("-id").first()
    if last is None or last.action != ConsentRecord.Action.OPT_OUT or last.reason or at - last.at > REASON_WINDOW:
        return False
    last.pk = None
    last._state.adding = True
    last.reason = reason[:300]
    last.at = at
    last.save()
    return True


def _cause(subscriber: Subscriber, list_id: int | None, track: TrackToken | None) -> MessageRef | None:
    if track is not None:
        message = find_message(track)
        # A token of somebody else's message says nothing about this person.
        return message if message is not None and message.subscriber_id == subscriber.pk else None
    return latest_message(subscriber, list_id or 0)


def _note(message: MessageRef, at: datetime, ip: str, user_agent: str) -> None:
    try:
        with transaction.atomic():
            store_reader_act(
                type_=EventType.UNSUBSCRIBED,
                mailout_id=message.mailout_id,
                n=message.n,
                at=at,
                ip=ip,
                user_agent=user_agent,
            )
    except DatabaseError as error:
        # The person has left; only the report misses it.
        logger.warning("leaving.not_noted", error=type(error).__name__)
