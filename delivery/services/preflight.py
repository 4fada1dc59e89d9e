"""What stops a mailout before it starts, each with what to do."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from delivery.models import CompiledEmail, SendingAccount
from delivery.selectors.accounts import accounts_for
from delivery.selectors.audience import Audience, AudienceCount, count_audience
from delivery.services.accounts import is_sender_verified
from organizations.models import Organization


@dataclass(frozen=True, slots=True)
class Blocker:
    """code: stable, for programs. message: for people."""

    code: str
    message: str


def blocking_reasons(
    *,
    organization: Organization,
    account: SendingAccount | None,
    compiled: CompiledEmail | None,
    subject: str,
    audience: Audience | None,
    sender_email: str,
    is_dry_run: bool = False,
    count: AudienceCount | None = None,
) -> list[Blocker]:
    """Everything that stops this mailout; empty when nothing does. audience None: a test send, which has none.

    count: of this audience, where it was counted already: a million people take a second.
    """
    found = []
    if not subject.strip():
        found.append(Blocker("no_subject", _("The subject is empty.")))
    if compiled is None:
        found.append(Blocker("no_body", _("There is no content yet.")))
    if not organization.postal_address.strip():
        found.append(
            Blocker(
                "no_postal_address",
                _("Your organization has no postal address. The law asks for it in every campaign."),
            )
        )
    if not sender_email:
        found.append(Blocker("no_sender", _("There is no sender address.")))
    if count is None and audience is not None:
        count = count_audience(organization=organization, audience=audience)
    found += _audience_blockers(account, count, is_dry_run=is_dry_run)
    if not is_dry_run:
        found += _account_blockers(organization, account, sender_email)
    return found


def _audience_blockers(
    account: SendingAccount | None, count: AudienceCount | None, *, is_dry_run: bool
) -> list[Blocker]:
    if count is None:
        return []
    if not count.eligible:
        return [Blocker("no_audience", _("Nobody would get it. Choose a list with subscribed people."))]
    if count.has_sample_people and not is_dry_run and account is not None and not account.is_local:
        return [
            Blocker("sample_people", _("The audience contains sample people, and this account sends to real ones."))
        ]
    return []


def _account_blockers(organization: Organization, account: SendingAccount | None, sender_email: str) -> list[Blocker]:
    if account is None or not accounts_for(organization).filter(pk=account.pk).exists():
        return [Blocker("no_account", _("There is no sending account."))]
    found = []
    if not account.is_local and is_loopback(settings.PUBLIC_URL):
        found.append(
            Blocker(
                "loopback_url",
                _("PUBLIC_URL is %(url)s: readers could not open a single link.") % {"url": settings.PUBLIC_URL},
            )
        )
    if sender_email and not is_sender_verified(account=account, organization=organization, address=sender_email):
        found.append(
            Blocker(
                "sender_not_verified",
                _("“%(address)s” is not verified at the provider yet.") % {"address": sender_email},
            )
        )
    return found


def is_loopback(url: str) -> bool:
    """Whether an address leads to this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
