"""What Amazon thinks of an account: enforcement, sandbox, quota, suppression list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.utils.translation import gettext as _

from delivery.models import SendingAccount
from delivery.services.points import NOTE, OK, STOP, Point

NEARLY_USED: Final = 0.8  # of the day's quota: time to ask for more
SUPPRESSED: Final = ("BOUNCE", "COMPLAINT")


def unanswered(asked: Mapping[str, Any], *, about: str, why: str) -> Point | None:
    """The point of something that the keys may not look at, or that Amazon did not tell; None for an answer."""
    if asked.get("state") == "denied":
        step = _("Allow them %(action)s in IAM, then check again.") % {"action": asked["action"]}
        return Point(NOTE, _("The keys may not look"), why, step, about=about)
    if asked.get("state") == "failed":
        step = _("%(error)s Check again in a minute.") % {"error": asked["error"].rstrip(". ") + "."}
        return Point(NOTE, _("Amazon did not tell"), why, step, "check", about=about)
    return None


def standing_points(account: SendingAccount) -> Iterator[Point]:
    """Enforcement, sandbox, quota and suppression list."""
    yield from _enforcement(account)
    yield from _recipients(account)
    yield from _day(account)
    yield from _suppression(account)


def _enforcement(account: SendingAccount) -> Iterator[Point]:
    """Nothing before the first answer."""
    about = _("Amazon’s standing")
    why = _("Amazon watches bounces and complaints, and stops accounts that have too many.")
    if account.enforcement_status == "HEALTHY":
        yield Point(OK, _("Amazon has no objections"), why, about=about)
    elif account.enforcement_status == "SHUTDOWN":
        step = _(
            "Open the case in the AWS Support Center, say what caused it and what you changed, and wait for the answer. "
            "Nothing is lost meanwhile."
        )
        yield Point(STOP, _("Amazon shut sending down"), why, step, "check", about=about)
    elif account.enforcement_status == "PROBATION":
        step = _(
            "Open Reputation metrics in the Amazon SES console, remove the cause, and answer the case in the AWS "
            "Support Center. Mail nobody who has not asked for it."
        )
        yield Point(STOP, _("Amazon is reviewing the account"), why, step, "check", about=about)
    elif account.enforcement_status:
        state = _("Amazon says %(status)s") % {"status": account.enforcement_status}
        yield Point(NOTE, state, why, _("Look into the Amazon SES console."), about=about)


def _recipients(account: SendingAccount) -> Iterator[Point]:
    if account.is_local and account.production_access:
        return
    about = _("Sandbox")
    why = _("In Amazon’s sandbox only addresses that you verified get mail, and few of them a day.")
    review = account.inspection.get("standing", {}).get("review", "")
    if account.production_access:
        yield Point(OK, _("It may mail anyone"), why, about=about)
    elif review == "PENDING":
        step = _(
            "You asked for production access. Amazon answers within a day; look for questions in the Support Center."
        )
        yield Point(NOTE, _("Amazon is deciding about production access"), why, step, about=about)
    elif review in ("DENIED", "FAILED"):
        step = _("Answer its case in the AWS Support Center: how people subscribe, how they leave, what you send.")
        yield Point(NOTE, _("Amazon refused production access"), why, step, about=about)
    else:
        step = _(
            "In the Amazon SES console, region %(region)s: Account dashboard, Request production access. Say how people "
            "subscribe and leave, and that bounces and complaints are processed. It takes a day."
        ) % {"region": account.region}
        yield Point(NOTE, _("It is in Amazon’s sandbox"), why, step, about=about)


def _day(account: SendingAccount) -> Iterator[Point]:
    """How much of Amazon's 24 hours is used; nothing before the first answer or without a limit (-1)."""
    if account.checked_at is None or account.max_24_hour_send <= 0:
        return
    about = _("Quota")
    why = _("Amazon counts every recipient of the last 24 hours, whoever sent to them through this account.")
    share = account.sent_last_24_hours / account.max_24_hour_send
    said = _("%(share)s %% of the day’s quota is used") % {"share": int(share * 100)}
    if share < NEARLY_USED:
        yield Point(OK, said, why, about=about)
    else:
        step = _(
            "Campaigns wait when it is used up. For more, ask in the AWS Service Quotas console for a higher quota."
        )
        yield Point(NOTE, said, why, step, about=about)


def _suppression(account: SendingAccount) -> Iterator[Point]:
    """Nothing before somebody looked. A configuration set may say otherwise than the account."""
    asked = account.inspection.get("standing")
    if asked is None:
        return
    about = _("Suppression list")
    why = _("A second net: Amazon delivers nothing to addresses that bounced or complained before, whoever forgot it.")
    if point := unanswered(asked, about=about, why=why):
        yield point
        return
    own = account.inspection.get("set", {}).get("suppressed")
    reasons = asked["suppressed"] if own is None else own
    words = {"BOUNCE": _("bounces"), "COMPLAINT": _("complaints")}
    lacking = [words[reason] for reason in SUPPRESSED if reason not in reasons]
    if not lacking:
        yield Point(OK, _("It takes bounces and complaints"), why, about=about)
        return
    state = _("It doesn’t take %(reasons)s") % {"reasons": _(" and ").join(lacking)}
    if own is None:
        step = _("Switch both on in the Amazon SES console: Suppression list, Account-level settings.")
    else:
        step = _("The configuration set says so: let it use the account’s settings, under Suppression list options.")
    yield Point(NOTE, state, why, step, about=about)
