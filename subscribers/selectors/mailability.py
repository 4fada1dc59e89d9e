"""May we mail this person, and why (not)?"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q
from django.utils import formats, timezone
from django.utils.translation import gettext as _

from subscribers.models import (
    ConsentRecord,
    Subscriber,
    SubscriberStatus,
    Subscription,
    SubscriptionState,
    Suppression,
    SuppressionReason,
    SuppressionScope,
)


@dataclass(frozen=True)
class Mailability:
    """The answer, in one sentence, with who may change it."""

    may: bool
    headline: str
    reason: str
    suppression: Suppression | None = None


def mailability(subscriber: Subscriber) -> Mailability:
    """Say whether a campaign would reach the person, the strongest reason first."""
    name = subscriber.first_name or subscriber.email
    entry = _suppression_of(subscriber)
    headline = _("You can't mail %(name)s.") % {"name": name}
    if subscriber.status == SubscriberStatus.COMPLAINED:
        reason = _("Our mail was marked as spam%(when)s. Nobody can change that.")
        return Mailability(False, headline, reason % {"when": _on_day(entry)}, entry)
    if subscriber.status == SubscriberStatus.BOUNCED:
        reason = _("The mailbox did not exist%(when)s. Who may edit suppressions can try it again.")
        return Mailability(False, headline, reason % {"when": _on_day(entry)}, entry)
    if subscriber.status == SubscriberStatus.UNSUBSCRIBED:
        return Mailability(False, headline, _("Everything was unsubscribed. Only the person can come back."), entry)
    if entry is not None:
        reason = _("The address is on the suppression list: %(reason)s.")
        return Mailability(False, headline, reason % {"reason": entry.get_reason_display()}, entry)
    return _by_lists(subscriber, name)


def _by_lists(subscriber: Subscriber, name: str) -> Mailability:
    states = set(Subscription.objects.filter(subscriber=subscriber).values_list("state", flat=True))
    if SubscriptionState.SUBSCRIBED not in states:
        headline = _("%(name)s is on no list.") % {"name": name}
        if states == {SubscriptionState.PENDING}:
            return Mailability(False, headline, _("The subscription was never confirmed."))
        return Mailability(False, headline, _("Campaigns go to lists, so none will reach this address."))
    consent = (
        ConsentRecord.objects.filter(subscriber=subscriber, action=ConsentRecord.Action.OPT_IN).order_by("-at").first()
    )
    headline = _("You may mail %(name)s.") % {"name": name}
    if consent is None:
        return Mailability(True, headline, _("There is no record of how the person agreed."))
    reason = _("Agreed on %(day)s (%(method)s).")
    words = {"day": formats.date_format(timezone.localtime(consent.at)), "method": consent.get_method_display().lower()}
    return Mailability(True, headline, reason % words)


def _suppression_of(subscriber: Subscriber) -> Suppression | None:
    """Return the entry that stops every campaign; those of single lists don't."""
    entries = Suppression.objects.filter(
        Q(organization_id=subscriber.organization_id) | Q(organization_id__isnull=True),
        Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now()),
        address_key=subscriber.address_key,
    ).exclude(scope=SuppressionScope.LIST)
    ranked = sorted(entries, key=lambda one: (one.reason != SuppressionReason.COMPLAINT, one.created_at))
    return ranked[0] if ranked else None


def _on_day(entry: Suppression | None) -> str:
    if entry is None:
        return ""
    return " " + _("on %(day)s") % {"day": formats.date_format(timezone.localtime(entry.created_at))}
