"""Opting in and out. Every act is one transaction: state, consent record, and the stamp the engine looks at.

Locks are taken in one order everywhere: the subscriber's row, then their subscriptions. `opted_out_at` is stamped with
the present time even when the act itself is older, since the engine compares it with the moment an audience was frozen.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from amazonsender.core.errors import Conflict, InvalidInput
from subscribers.models import (
    ConsentRecord,
    List,
    Subscriber,
    SubscriberStatus,
    Subscription,
    SubscriptionState,
    Suppression,
    SuppressionReason,
)


@dataclass(frozen=True)
class _Act:
    """How it happened: what a consent record keeps besides who and what."""

    method: str
    at: datetime.datetime
    ip: str = ""
    user_agent: str = ""
    source: str = ""
    text: str = ""
    reason: str = ""
    mailout_id: int | None = None
    message_n: int | None = None


@transaction.atomic
def subscribe(
    *,
    subscriber: Subscriber,
    list_id: int,
    method: str,
    at: datetime.datetime,
    ip: str = "",
    user_agent: str = "",
    source: str = "",
    text: str = "",
) -> bool:
    """Put a person on a list; say whether that changed anything.

    Says nothing about whether they may be mailed at all: a bounced or complained address stays unmailable. Somebody who
    left everything comes back with `resubscribe`, which is a separate, explicit act.
    """
    person = _lock(subscriber)
    _require_list(person, list_id)
    changed = _set_state(person, [list_id], SubscriptionState.SUBSCRIBED, at)
    if changed:
        _record(person, changed, ConsentRecord.Action.OPT_IN, _Act(method, at, ip, user_agent, source, text))
    return bool(changed)


@transaction.atomic
def unsubscribe(
    *,
    subscriber: Subscriber,
    list_id: int | None,
    method: str,
    at: datetime.datetime,
    ip: str = "",
    user_agent: str = "",
    reason: str = "",
    mailout_id: int | None = None,
    n: int | None = None,
) -> bool:
    """Take a person off a list, or off everything with `list_id=None`; say whether that changed anything.

    A repeat changes nothing and is recorded once: a provider may post its one-click request as often as it likes.
    """
    person = _lock(subscriber)
    if list_id is None:
        lists = _subscribed_lists(person)
        changed = person.status == SubscriberStatus.ACTIVE or bool(lists)
        _set_state(person, lists, SubscriptionState.UNSUBSCRIBED, at)
        recorded: list[int | None] = [None]
    else:
        _require_list(person, list_id)
        recorded = [*_set_state(person, [list_id], SubscriptionState.UNSUBSCRIBED, at)]
        changed = bool(recorded)
    if not changed:
        return False
    _stamp(person, everything=list_id is None)
    act = _Act(method, at, ip, user_agent, reason=reason, mailout_id=mailout_id, message_n=n)
    _record(person, recorded, ConsentRecord.Action.OPT_OUT, act)
    return True


@transaction.atomic
def resubscribe(
    *,
    subscriber: Subscriber,
    list_id: int | None,
    method: str,
    at: datetime.datetime,
    ip: str = "",
    user_agent: str = "",
    text: str = "",
) -> bool:
    """Let a person come back by their own act: to one list, or with None to what they last left all at once.

    Raises Conflict for somebody who complained or whose mailbox bounced: no page may undo that.
    """
    person = _lock(subscriber)
    _refuse_unmailable(person)
    lists = [list_id] if list_id is not None else _lists_left_at_once(person)
    for wanted in lists:
        _require_list(person, wanted)
    changed = _set_state(person, lists, SubscriptionState.SUBSCRIBED, at)
    was_out = person.status == SubscriberStatus.UNSUBSCRIBED
    if was_out:
        _let_back(person)
    if changed or was_out:
        recorded: list[int | None] = [*changed] if changed else [None]
        _record(person, recorded, ConsentRecord.Action.OPT_IN, _Act(method, at, ip, user_agent, text=text))
    return bool(changed) or was_out


@transaction.atomic
def set_preferences(
    *,
    subscriber: Subscriber,
    list_ids: Iterable[int],
    method: str,
    at: datetime.datetime,
    ip: str = "",
    user_agent: str = "",
    text: str = "",
    mailout_id: int | None = None,
    n: int | None = None,
) -> bool:
    """Make exactly these public lists the ones the person is on; say whether anything changed.

    Lists that are not public are left as they are: the page doesn't show them, so nobody said anything about them.
    Choosing at least one list brings back somebody who had left everything.
    """
    person = _lock(subscriber)
    public = set(List.objects.for_organization(person.organization).filter(is_public=True).values_list("id", flat=True))
    wanted = set(list_ids)
    if wanted - public:
        raise InvalidInput(_("There is no such list."))
    if wanted:
        _refuse_unmailable(person)
    act = _Act(method, at, ip, user_agent, text=text, mailout_id=mailout_id, message_n=n)
    out = _set_state(person, sorted(public - wanted), SubscriptionState.UNSUBSCRIBED, at, only_existing=True)
    came = _set_state(person, sorted(wanted), SubscriptionState.SUBSCRIBED, at)
    if wanted and person.status == SubscriberStatus.UNSUBSCRIBED:
        _let_back(person)
    if out:
        _stamp(person, everything=False)
        _record(person, out, ConsentRecord.Action.OPT_OUT, act)
    if came:
        _record(person, came, ConsentRecord.Action.OPT_IN, act)
    return bool(out or came)


def _lock(subscriber: Subscriber) -> Subscriber:
    return Subscriber.objects.select_for_update(no_key=True).select_related(None).get(pk=subscriber.pk)


def _require_list(person: Subscriber, list_id: int) -> None:
    if not List.objects.filter(pk=list_id, organization_id=person.organization_id).exists():
        raise InvalidInput(_("There is no such list."))


def _subscribed_lists(person: Subscriber) -> list[int]:
    return list(
        Subscription.objects.filter(subscriber=person)
        .exclude(state=SubscriptionState.UNSUBSCRIBED)
        .order_by("list_id")
        .values_list("list_id", flat=True)
    )


def _set_state(
    person: Subscriber, list_ids: list[int], state: str, at: datetime.datetime, *, only_existing: bool = False
) -> list[int]:
    """Bring the subscriptions into the state and return the lists for which that was a change, in their order."""
    known = dict(
        Subscription.objects.filter(subscriber=person, list_id__in=list_ids)
        .order_by("list_id")
        .select_for_update(no_key=True)
        .values_list("list_id", "state")
    )
    changed = [one for one in sorted(list_ids) if known.get(one) != state and (one in known or not only_existing)]
    Subscription.objects.filter(subscriber=person, list_id__in=changed).update(state=state, changed_at=at)
    Subscription.objects.bulk_create(
        Subscription(organization_id=person.organization_id, list_id=one, subscriber=person, state=state, changed_at=at)
        for one in changed
        if one not in known
    )
    return changed


def _stamp(person: Subscriber, *, everything: bool) -> None:
    if everything and person.status == SubscriberStatus.ACTIVE:
        person.status = SubscriberStatus.UNSUBSCRIBED
    Subscriber.objects.filter(pk=person.pk).update(status=person.status, opted_out_at=Now(), updated_at=Now())


def _let_back(person: Subscriber) -> None:
    """Undo what leaving everything did, including an opt-out that came before we knew the person."""
    person.status = SubscriberStatus.ACTIVE
    Subscriber.objects.filter(pk=person.pk).update(status=person.status, updated_at=Now())
    Suppression.objects.filter(
        organization_id=person.organization_id,
        address_key=person.address_key,
        reason=SuppressionReason.UNSUBSCRIBE,
    ).delete()


def _refuse_unmailable(person: Subscriber) -> None:
    if person.status == SubscriberStatus.COMPLAINED:
        raise Conflict(_("This person marked our mail as spam. Nobody can subscribe them again."))
    if person.status == SubscriberStatus.BOUNCED:
        raise Conflict(_("Mail to this address bounces. Take it off the suppression list first."))


def _lists_left_at_once(person: Subscriber) -> list[int]:
    """Return the lists that the person's last opt-out from everything took with it."""
    last = (
        ConsentRecord.objects.filter(subscriber=person, list__isnull=True, action=ConsentRecord.Action.OPT_OUT)
        .order_by("-id")
        .first()
    )
    if last is None:
        return []
    left = Subscription.objects.filter(subscriber=person, state=SubscriptionState.UNSUBSCRIBED, changed_at=last.at)
    return list(left.order_by("list_id").values_list("list_id", flat=True))


def _record(person: Subscriber, list_ids: Iterable[int | None], action: str, act: _Act) -> None:
    ConsentRecord.objects.bulk_create(
        ConsentRecord(
            organization_id=person.organization_id,
            subscriber=person,
            list_id=list_id,
            action=action,
            method=act.method,
            at=act.at,
            source=act.source[:300],
            text=act.text,
            reason=act.reason[:300],
            ip=act.ip or None,
            user_agent=act.user_agent[:300],
            mailout_id=act.mailout_id,
            message_n=act.message_n,
        )
        for list_id in list_ids
    )
