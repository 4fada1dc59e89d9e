"""A person's mail on their page: the page belongs to the app below, which asks whoever registered."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from delivery.models import Mailout, MessageState
from delivery.selectors.messages import MessageRow, subscriber_messages
from subscribers.models import Engagement, Subscriber
from subscribers.timeline import Figure, TimelineEvent, Tone, register_figures, register_provider


@register_provider
def mail_of(subscriber: Subscriber, limit: int) -> Iterator[TimelineEvent]:
    """What was sent to this person and what became of it, newest first."""
    rows = subscriber_messages(organization=subscriber.organization, subscriber_id=subscriber.pk, limit=limit)
    mailouts = Mailout.objects.only("name", "frozen_at").in_bulk({row.mailout_id for row in rows})
    for row in rows:
        link = reverse("admin:message", args=[row.mailout_id, row.n])
        mailout = mailouts.get(row.mailout_id)
        name = mailout.name if mailout else ""
        if row.state == MessageState.UNKNOWN and mailout:
            yield TimelineEvent(mailout.frozen_at, _("No answer from the provider"), name, "warn", "email", link)
        if row.sent_at:
            is_simulated = row.state == MessageState.SIMULATED
            said = _("Simulated: “%(name)s”") if is_simulated else _("Sent: “%(name)s”")
            yield TimelineEvent(row.sent_at, said % {"name": name}, row.address, "plain", "email", link)
        yield from _fate(row, name, link)


def _fate(row: MessageRow, name: str, link: str) -> Iterator[TimelineEvent]:
    facts: tuple[tuple[datetime | None, str, Tone], ...] = (
        (row.delivered_at, _("Delivered"), "ok"),
        (row.opened_human_at, _("Opened"), "ok"),
        (row.clicked_human_at, _("Clicked"), "ok"),
        (row.opened_at if row.opened_human_at is None else None, _("Opened by a machine"), "machine"),
        (row.bounced_at, _("Bounced"), "stop"),
        (row.complained_at, _("Complained"), "stop"),
        (row.unsubscribed_at, _("Unsubscribed"), "warn"),
    )
    for at, what, tone in facts:
        if at is not None:
            yield TimelineEvent(at, what, name, tone, "email", link)


@register_figures
def figures_of(subscriber: Subscriber) -> Iterator[Figure]:
    """How many emails reached this person, and how many were opened and clicked."""
    engagement = Engagement.objects.filter(pk=subscriber.pk).first() or Engagement(pk=subscriber.pk)
    yield Figure(ngettext("email delivered", "emails delivered", engagement.delivered), engagement.delivered)
    yield Figure(_("opened"), engagement.opened)
    yield Figure(_("clicked"), engagement.clicked)
