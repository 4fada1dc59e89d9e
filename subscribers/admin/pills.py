from __future__ import annotations

from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from organizations.templatetags.ui import pill
from subscribers.models import Subscriber, SubscriberStatus

_PILL_OF = {
    SubscriberStatus.ACTIVE: "sent",
    SubscriberStatus.UNSUBSCRIBED: "off",
    SubscriberStatus.BOUNCED: "failed",
    SubscriberStatus.COMPLAINED: "failed",
}


def render_pill(state: str, label: str) -> SafeString:
    """Return the pill as list columns want it."""
    return render_to_string("as/_pill.html", pill(state, label))


def status_pill(person: Subscriber) -> SafeString:
    """Return the status of a person: quiet for the usual one."""
    status = SubscriberStatus(person.status)
    label = _("Unsubscribed") if status == SubscriberStatus.UNSUBSCRIBED else str(status.label)
    return render_pill(_PILL_OF[status], label)
