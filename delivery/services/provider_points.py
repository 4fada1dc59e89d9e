"""The same for accounts of other providers than Amazon SES: what is known of them is what was entered."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from delivery.models import ParkReason, SenderIdentity, SendingAccount
from delivery.services.inbound import events_url, guard_of
from delivery.services.points import Point


def points_of_other(
    account: SendingAccount, identities: Sequence[SenderIdentity], parked: ParkReason | None
) -> list[Point]:
    """Connection, sending, and how events come back."""
    return [_connection(account), _sending(parked), _senders(identities), _events(account)]


def _connection(account: SendingAccount) -> Point:
    why = _("Name, password and encryption are tried with every check.")
    if account.check_error:
        return Point("stop", _("The last check failed"), why, account.check_error, "edit", about=_("Connection"))
    if account.checked_at is None:
        return Point(
            "note", _("Nobody has tried the connection yet"), why, _("Check it now."), "check", about=_("Connection")
        )
    return Point("ok", _("The service answers"), why, about=_("Connection"))


def _sending(parked: ParkReason | None) -> Point:
    why = _("While the service holds the account, every campaign waits; nobody is lost and nobody gets it twice.")
    if parked is None:
        return Point("ok", _("Sending is switched on"), why, about=pgettext("of an account", "Sending"))
    step = {
        ParkReason.QUOTA: _("It goes on by itself when the day has room again."),
        ParkReason.OUTAGE: _("We try again by ourselves, one email at a time, until the service answers."),
        ParkReason.HOME: _("Run “manage.py confirm_home” on the server when this is the database that may send."),
    }.get(parked, _("Look into your account at the service, mend what it says, and check again."))
    return Point("stop", f"{parked.label}.", why, step, "check", about=pgettext("of an account", "Sending"))


def _senders(identities: Sequence[SenderIdentity]) -> Point:
    why = _("The service signs mail of domains that you have set up there; it refuses others when they are used.")
    if not identities:
        return Point(
            "note",
            _("No sender yet"),
            why,
            _("Add your domain below, after you have set it up there."),
            about=_("Senders"),
        )
    return Point("ok", _("Senders are written down"), why, about=_("Senders"))


def _events(account: SendingAccount) -> Point:
    why = _("Without them bounces and complaints are never learned, and the brake is blind.")
    is_guarded = guard_of(account)
    if is_guarded is None:
        return Point(
            "note",
            _("A mail server tells of no bounces"),
            why,
            _("Look into the mailbox that gets them."),
            about=_("Events"),
        )
    if not is_guarded:
        step = _("Enter the key or secret that the service signs its reports with: without one nothing is believed.")
        return Point("stop", _("Events do not come back"), why, step, "edit", about=_("Events"))
    said = _("The service reports to %(url)s") % {"url": events_url(account)}
    return Point("ok", _("Events have a way back"), why, said, about=_("Events"))
