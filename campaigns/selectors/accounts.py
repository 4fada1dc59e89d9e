"""Through which accounts an organization may send, and as whom."""

from __future__ import annotations

from campaigns.models import Campaign
from delivery.models import SenderIdentity, SendingAccount
from delivery.selectors.accounts import accounts_for
from organizations.models import Organization


def accounts_of(organization: Organization) -> list[SendingAccount]:
    """Its own accounts and those granted to it."""
    return list(accounts_for(organization))


def account_of(campaign: Campaign) -> SendingAccount | None:
    """The account a campaign goes out through: the chosen one, or the only one there is."""
    accounts = accounts_of(campaign.organization)
    if campaign.account_id:
        return next((account for account in accounts if account.pk == campaign.account_id), None)
    return accounts[0] if len(accounts) == 1 else None


def identities_of(organization: Organization, account: SendingAccount | None) -> list[SenderIdentity]:
    """The addresses and domains an account knows, the verified ones first."""
    if account is None:
        return []
    known = SenderIdentity.objects.for_organization(organization).filter(account=account)
    return list(known.order_by("-is_verified", "identity"))


def is_sender_verified(email: str, identities: list[SenderIdentity]) -> bool | None:
    """Whether the address or its domain is verified; None when the provider was never asked about either."""
    address = email.strip().lower()
    domain = address.rpartition("@")[2]
    mine = [
        identity
        for identity in identities
        if identity.identity.lower() == address
        or domain == identity.identity.lower()
        or domain.endswith("." + identity.identity.lower())
    ]
    return any(identity.is_verified for identity in mine) if mine else None
