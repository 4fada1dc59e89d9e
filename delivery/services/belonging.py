"""Nothing of another organization gets into a mailout, whoever asks for it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from django.utils.translation import gettext as _

from amazonsender.core.errors import NotFound
from delivery.models import CompiledEmail, SendingAccount
from delivery.selectors.accounts import accounts_for
from organizations.models import Organization
from subscribers.models import List, Subscriber


def require_belonging(
    *,
    organization: Organization,
    account: SendingAccount | None,
    emails: Sequence[CompiledEmail],
    list_ids: Collection[int] = (),
    subscriber: Subscriber | None = None,
) -> None:
    """Raise NotFound unless all of it is the organization's own; an account may be granted to it instead.

    A list that was deleted a moment ago is refused, too: the audience must never be another than the one shown.
    """
    if account is not None and not accounts_for(organization).filter(pk=account.pk).exists():
        raise NotFound(_("There is no such sending account."))
    if any(email.organization_id != organization.pk for email in emails):
        raise NotFound(_("There is no such email."))
    if subscriber is not None and subscriber.organization_id != organization.pk:
        raise NotFound(_("There is no such subscriber."))
    if List.objects.for_organization(organization).filter(pk__in=list_ids).count() != len(set(list_ids)):
        raise NotFound(_("There is no such list."))
