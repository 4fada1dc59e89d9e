"""Mailouts as lists and pages show them."""

from __future__ import annotations

from dataclasses import dataclass

from delivery.models import AccountPace, Mailout, SendingAccount
from organizations.models import Organization

PAGE = 25


@dataclass(frozen=True)
class MailoutPage:
    """Some mailouts, and the id before which the older ones begin (0: there are none)."""

    mailouts: list[Mailout]
    older_than: int


def list_mailouts(organization: Organization, *, before: int = 0, limit: int = PAGE) -> MailoutPage:
    """The newest mailouts of an organization, tests and dry runs too."""
    found = Mailout.objects.for_organization(organization).select_related("account")
    if before:
        found = found.filter(pk__lt=before)
    mailouts = list(found.order_by("-pk")[: limit + 1])
    more = len(mailouts) > limit
    mailouts = mailouts[:limit]
    return MailoutPage(mailouts, mailouts[-1].pk if more else 0)


def pace_of(account: SendingAccount) -> AccountPace | None:
    """The limiter's row of an account."""
    return AccountPace.objects.filter(account=account).first()


def own_accounts(organization: Organization) -> list[SendingAccount]:
    """The accounts that belong to an organization itself; those granted to it are their owner's to look after."""
    return list(SendingAccount.objects.for_organization(organization).order_by("pk"))
