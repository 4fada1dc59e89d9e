"""Through which accounts an organization may send."""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q, QuerySet

from delivery.models import AccountGrant, SendingAccount
from organizations.models import Organization


def accounts_for(organization: Organization) -> QuerySet[SendingAccount]:
    """Its own accounts and those granted to it, in the order in which they were made."""
    granted = AccountGrant.objects.filter(account=OuterRef("pk"), organization=organization)
    return SendingAccount.objects.filter(Q(organization=organization) | Q(Exists(granted))).order_by("pk")
