"""What sending through an account depends on: the state of each thing, why it matters, and how to mend it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from delivery.models import ParkReason, SenderIdentity, SendingAccount, SendingDomain
from delivery.services.domain_records import report_of
from delivery.services.domains import domain_names, may_look_up
from delivery.services.event_points import event_points
from delivery.services.points import NOTE, OK, STOP, Point
from delivery.services.provider_points import points_of_other
from delivery.services.record_rows import PILLS
from delivery.services.standing_points import standing_points

STALE_AFTER: Final = datetime.timedelta(minutes=10)  # accounts are checked every minute

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


class DomainSummary(NamedTuple):
    """pill: its colour and icon."""

    name: str
    pill: str
    said: str


def points_of(
    account: SendingAccount,
    identities: Sequence[SenderIdentity],
    parked: ParkReason | None,
    domains: Sequence[SendingDomain] = (),
) -> list[Point]:
    """Everything that sending depends on, what stops it first."""
    if account.provider != "ses":
        points = points_of_other(account, identities, parked)
    else:
        points = [
            _check(account),
            *_allowed(account, parked),
            *_senders(account, identities, domains),
            *(_domain(domain, account) for domain in domains),
            *event_points(account),
            *standing_points(account),
        ]
    order = (STOP, NOTE, OK)
    return sorted(points, key=lambda point: order.index(point.tone))


def domain_summaries(account: SendingAccount, domains: Sequence[SendingDomain]) -> list[DomainSummary]:
    """The domains of an account's senders, with what is to be said of each in a word; also those not looked at yet."""
    if account.provider != "ses":
        return []
    known = {domain.name: domain for domain in domains}
    found = []
    for name in domain_names(account):
        domain = known.get(name)
        if domain is None:
            found.append(DomainSummary(name, "off", _("Not looked up yet")))
            continue
        report = report_of(domain, account)
        if report.tone != OK:
            count = report.to_mend + bool(report.trouble)
            said = ngettext("%(n)s thing to mend", "%(n)s things to mend", count) % {"n": count}
            found.append(DomainSummary(name, PILLS[report.tone], said))
        elif may_look_up(account, name):
            found.append(DomainSummary(name, PILLS[OK], _("In place")))
        else:
            found.append(DomainSummary(name, "off", _("Not looked up")))
    return found


def _check(account: SendingAccount) -> Point:
    about = _("Check")
    why = _("Limits, health and verified senders are what Amazon said last.")
    if account.checked_at is None:
        return Point(NOTE, _("Nobody has asked Amazon yet"), why, _("Check it now."), "check", about=about)
    if account.check_error:
        step = _("%(error)s Look at the credentials in the server’s environment and at the region, then check again.")
        state = _("The last check failed")
        return Point(NOTE, state, why, step % {"error": account.check_error}, "check", about=about)
    minutes = int((timezone.now() - account.checked_at) / datetime.timedelta(minutes=1))
    if timezone.now() - account.checked_at > STALE_AFTER:
        return Point(
            NOTE,
            ngettext("Last checked %(n)s minute ago", "Last checked %(n)s minutes ago", minutes) % {"n": minutes},
            why,
            _("It is asked every minute: see that the scheduler and a worker are running, then check again."),
            "check",
            about=about,
        )
    if minutes:
        said = ngettext("Checked %(n)s minute ago", "Checked %(n)s minutes ago", minutes) % {"n": minutes}
    else:
        said = _("Checked less than a minute ago")
    return Point(OK, said, why, about=about)


def _allowed(account: SendingAccount, parked: ParkReason | None) -> Iterator[Point]:
    about = pgettext("of an account", "Sending")
    why = _("While Amazon holds the account, every campaign waits; nobody is lost and nobody gets it twice.")
    if parked in (ParkReason.REVIEW, ParkReason.SUSPENDED) and account.enforcement_status in ("PROBATION", "SHUTDOWN"):
        return  # told once, by Amazon's standing
    if parked:
        yield Point(STOP, f"{parked.label}.", why, str(WAYS_ON[parked]), "check", about=about)
    else:
        yield Point(OK, _("Sending is switched on"), why, about=about)


def _senders(
    account: SendingAccount, identities: Sequence[SenderIdentity], domains: Sequence[SendingDomain]
) -> Iterator[Point]:
    about = _("Senders")
    why = _("Amazon refuses mail from an address or domain that it does not know to be yours.")
    open_names = [sender.identity for sender in identities if not sender.is_verified]
    if not identities:
        yield Point(STOP, _("No sender yet"), why, _("Add an address or, better, your domain below."), about=about)
    elif len(open_names) == len(identities):
        yield Point(STOP, _("No sender is verified"), why, _verify_step(open_names), about=about)
    elif open_names:
        yield Point(NOTE, _("Not every sender is verified"), why, _verify_step(open_names), about=about)
    else:
        yield Point(OK, _("Every sender is verified"), why, about=about)
    told = {domain.name for domain in domains}  # of these the records are told one by one
    unsigned = [
        sender.identity
        for sender in identities
        if sender.is_verified and sender.dkim_status != "SUCCESS" and sender.identity.rpartition("@")[2] not in told
    ]
    if unsigned and not account.is_local:
        yield Point(
            NOTE,
            _("DKIM is not set up for %(names)s") % {"names": ", ".join(unsigned)},
            _("Gmail and Yahoo ask everybody who mails many people to sign with their own domain."),
            _("Check again, then open the domain below: it shows the records to put into your DNS."),
            "check",
            about=_("DKIM"),
        )


def _verify_step(names: Sequence[str]) -> str:
    return _(
        "For %(names)s: an address is verified by the link in Amazon’s email to it, a domain by the CNAME records "
        "that its page below shows. Then check again."
    ) % {"names": ", ".join(names)}


def _domain(domain: SendingDomain, account: SendingAccount) -> Point:
    why = _("Mailboxes look these records up before they take mail of the domain.")
    name = {"name": domain.name}
    report = report_of(domain, account)
    if report.tone == OK:
        if not may_look_up(account, domain.name):
            state = _("%(name)s is not looked up: nothing leaves this machine") % name
        else:
            state = _("All records of %(name)s are in place") % name
        return Point(OK, state, why, about=_("DNS"), subject=domain.name)
    state = ngettext(
        "%(n)s thing to mend for %(name)s", "%(n)s things to mend for %(name)s", report.to_mend + bool(report.trouble)
    ) % {"n": report.to_mend + bool(report.trouble), **name}
    if report.trouble:
        state = _("%(name)s: %(trouble)s") % {**name, "trouble": report.trouble}
    step = _("Open the domain: each record stands there with its value to copy.")
    return Point(report.tone, state, why, step, "domain", about=_("DNS"), subject=domain.name)
