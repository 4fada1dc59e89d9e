"""Test sends: to a few named people, as one subscriber would get it, in no statistic; the campaign stays a draft."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from amazonsender.core.errors import InvalidInput
from campaigns.models import Campaign
from campaigns.selectors.accounts import account_of
from campaigns.selectors.content import compose_email
from delivery.compiling.headers import mailbox
from delivery.models import Mailout
from delivery.services.compiling import compile_and_store
from delivery.services.trial import send_test
from organizations.models import User
from organizations.services.audit import record
from subscribers.addresses import InvalidAddress, canonical
from subscribers.models import Subscriber

MOST_RECIPIENTS = 20


def send_campaign_test(
    *, campaign: Campaign, recipients: Sequence[str], subscriber: Subscriber | None, actor: User | None
) -> Mailout:
    """Send the campaign as it stands to the recipients, with the data of the subscriber.

    Raises InvalidInput for an address that can't be, or when there is no sender or account; CompileError when the
    content has an error. Nothing about the campaign changes.
    """
    addresses = _checked(recipients)
    account = account_of(campaign)
    if account is None:
        raise InvalidInput(_("Choose the account this campaign is sent through."))
    if not campaign.sender_email:
        raise InvalidInput(_("The campaign has no sender address."))
    compiled = compile_and_store(organization=campaign.organization, source=compose_email(campaign).source)
    mailout = send_test(
        organization=campaign.organization,
        account=account,
        compiled=compiled,
        recipients=addresses,
        preview_subscriber=subscriber,
        name=campaign.name,
        sender=mailbox(campaign.sender_name, campaign.sender_email),
        reply_to=campaign.reply_to,
        created_by=actor,
    )
    record(
        organization=campaign.organization,
        actor=actor,
        action="campaign.test_sent",
        target=campaign,
        mailout_id=mailout.pk,
        revision=campaign.revision,
        people=len(addresses),
    )
    return mailout


def _checked(recipients: Sequence[str]) -> list[str]:
    addresses: dict[str, str] = {}
    for entry in recipients:
        if not entry.strip():
            continue
        try:
            address = canonical(entry)
        except InvalidAddress:
            raise InvalidInput(_("“%(value)s” is not an email address.") % {"value": entry.strip()}) from None
        addresses.setdefault(address.key, address.written)
    if not addresses:
        raise InvalidInput(_("Say who gets the test."))
    if len(addresses) > MOST_RECIPIENTS:
        raise InvalidInput(
            ngettext("A test goes to at most %(n)s person.", "A test goes to at most %(n)s people.", MOST_RECIPIENTS)
            % {"n": MOST_RECIPIENTS}
        )
    return list(addresses.values())
