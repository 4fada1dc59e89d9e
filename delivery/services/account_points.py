"""What sending through an account depends on: the state of each thing, why it matters, and how to mend it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from typing import Final

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from amazonsender.core.loopback import is_loopback
from delivery.models import ParkReason, SenderIdentity, SendingAccount
from delivery.services.points import Point
from delivery.services.provider_points import points_of_other

STALE_AFTER: Final = datetime.timedelta(minutes=10)  # accounts are checked every minute
NEARLY_USED: Final = 0.8  # of the day's quota: time to ask for more

# What a parked account needs, in a sentence a person can act on.
WAYS_ON: Final = {
    ParkReason.QUOTA: gettext_lazy("It goes on by itself when the day has room again."),
    ParkReason.PAUSED: gettext_lazy("Look into your Amazon SES console: sending is switched off there."),
    ParkReason.SUSPENDED: gettext_lazy("Amazon shut the account down. Answer the case in your AWS support centre."),
    ParkReason.REVIEW: gettext_lazy(
        "Amazon is looking at your bounces and complaints. Answer its message, then check again."
    ),
    ParkReason.MISCONFIGURED: gettext_lazy("Check the credentials, the region and the configuration set."),
    ParkReason.OUTAGE: gettext_lazy("We try again by ourselves, one email at a time, until Amazon answers."),
    ParkReason.HOME: gettext_lazy(
        "Run “manage.py confirm_home” on the server when this is the database that may send."
    ),
}


def points_of(account: SendingAccount, identities: Sequence[SenderIdentity], parked: ParkReason | None) -> list[Point]:
    """Everything that sending depends on, what stops it first."""
    if account.provider != "ses":
        points = points_of_other(account, identities, parked)
    else:
        points = [
            _check(account),
            _allowed(account, parked),
            *_senders(account, identities),
            _events(account),
            *_recipients(account),
            *_day(account),
        ]
    order = ("stop", "note", "ok")
    return sorted(points, key=lambda point: order.index(point.tone))


def _check(account: SendingAccount) -> Point:
    why = _("Limits, health and verified senders are what Amazon said last.")
    if account.checked_at is None:
        return Point("note", _("Nobody has asked Amazon yet"), why, _("Check it now."), "check")
    if account.check_error:
        step = _("%(error)s Look at the credentials in the server’s environment and at the region, then check again.")
        return Point("note", _("The last check failed"), why, step % {"error": account.check_error}, "check")
    minutes = int((timezone.now() - account.checked_at) / datetime.timedelta(minutes=1))
    if timezone.now() - account.checked_at > STALE_AFTER:
        return Point(
            "note",
            ngettext("Last checked %(n)s minute ago", "Last checked %(n)s minutes ago", minutes) % {"n": minutes},
            why,
            _("It is asked every minute: see that the scheduler and a worker are running, then check again."),
            "check",
        )
    if minutes:
        said = ngettext("Checked %(n)s minute ago", "Checked %(n)s minutes ago", minutes) % {"n": minutes}
    else:
        said = _("Checked less than a minute ago")
    return Point("ok", said, why)


def _allowed(account: SendingAccount, parked: ParkReason | None) -> Point:
    why = _("While Amazon holds the account, every campaign waits; nobody is lost and nobody gets it twice.")
    if parked:
        return Point("stop", f"{parked.label}.", why, str(WAYS_ON[parked]), "check")
    return Point("ok", _("Sending is switched on"), why)


def _senders(account: SendingAccount, identities: Sequence[SenderIdentity]) -> Iterator[Point]:
    why = _("Amazon refuses mail from an address or domain that it does not know to be yours.")
    open_names = [sender.identity for sender in identities if not sender.is_verified]
    if not identities:
        yield Point("stop", _("No sender yet"), why, _("Add an address or, better, your domain below."))
    elif len(open_names) == len(identities):
        yield Point("stop", _("No sender is verified"), why, _verify_step(open_names))
    elif open_names:
        yield Point("note", _("Not every sender is verified"), why, _verify_step(open_names))
    else:
        yield Point("ok", _("Every sender is verified"), why)
    unsigned = [sender.identity for sender in identities if sender.is_verified and sender.dkim_status != "SUCCESS"]
    if unsigned and not account.is_local:
        yield Point(
            "note",
            _("DKIM is not set up for %(names)s") % {"names": ", ".join(unsigned)},
            _("Gmail and Yahoo ask everybody who mails many people to sign with their own domain."),
            _("Open the identity in the Amazon SES console and put its three CNAME records into your DNS."),
        )


def _verify_step(names: Sequence[str]) -> str:
    return _(
        "For %(names)s: an address is verified by the link in Amazon’s email to it, a domain by the CNAME records "
        "that the Amazon SES console shows for it. Then check again."
    ) % {"names": ", ".join(names)}


def _events(account: SendingAccount) -> Point:
    why = _("Without them bounces and complaints are never learned, and the brake is blind.")
    if not account.configuration_set or not account.topic_arns:
        if account.is_local:
            return Point("stop", _("Events do not come back"), why, _("Set up Local SES again."), "local")
        step = _(
            "Create a configuration set with an SNS destination at Amazon, and enter its name and the topic’s ARN."
        )
        return Point("stop", _("Events do not come back"), why, step, "edit")
    if not account.is_local and is_loopback(settings.PUBLIC_URL):
        step = _("Set PUBLIC_URL to the address under which Amazon and your readers reach this server, and restart it.")
        return Point("stop", _("Amazon can’t reach this server"), why, step)
    return Point("ok", _("Events have a way back"), why)


def _recipients(account: SendingAccount) -> Iterator[Point]:
    if account.is_local:
        return
    why = _("In Amazon’s sandbox only addresses that you verified get mail, and few of them a day.")
    if account.production_access:
        yield Point("ok", _("It may mail anyone"), why)
    else:
        step = _("Ask for it in the Amazon SES console: Account dashboard, Request production access. It takes a day.")
        yield Point("note", _("It is in Amazon’s sandbox"), why, step)


def _day(account: SendingAccount) -> Iterator[Point]:
    """How much of Amazon's 24 hours is used; nothing before the first answer or without a limit (-1)."""
    if account.checked_at is None or account.max_24_hour_send <= 0:
        return
    why = _("Amazon counts every recipient of the last 24 hours, whoever sent to them through this account.")
    share = account.sent_last_24_hours / account.max_24_hour_send
    said = _("%(share)s %% of the day’s quota is used") % {"share": int(share * 100)}
    if share < NEARLY_USED:
        yield Point("ok", said, why)
    else:
        step = _(
            "Campaigns wait when it is used up. For more, ask in the AWS Service Quotas console for a higher quota."
        )
        yield Point("note", said, why, step)
