"""Going through the whole pipeline without a provider: everybody ends `simulated`, the campaign stays a draft."""

from __future__ import annotations

import uuid

from campaigns.models import Campaign
from campaigns.selectors.content import compose_email
from campaigns.selectors.history import dry_run_prefix
from campaigns.services.reviewing import audience_of, check_content
from delivery.compiling import CompileError
from delivery.compiling.headers import mailbox
from delivery.models import Mailout
from delivery.services.compiling import compile_and_store
from delivery.services.launching import launch_mailout
from organizations.models import User
from organizations.services.audit import record


def run_dry(*, campaign: Campaign, actor: User | None) -> Mailout:
    """Simulate the campaign for its whole audience; may be repeated. Raises CompileError when it can't be compiled."""
    check = check_content(campaign)
    if check.blocking:
        raise CompileError(check.findings)
    compiled = compile_and_store(organization=campaign.organization, source=compose_email(campaign).source)
    sender_email = campaign.sender_email or "dry-run@example.com"
    mailout = launch_mailout(
        organization=campaign.organization,
        account=None,
        name=campaign.name,
        idempotency_key=f"{dry_run_prefix(campaign)}{uuid.uuid4().hex}",
        emails=[compiled],
        audience=audience_of(campaign),
        sender=mailbox(campaign.sender_name, sender_email),
        reply_to=campaign.reply_to,
        created_by=actor,
        is_dry_run=True,
    )
    record(
        organization=campaign.organization,
        actor=actor,
        action="campaign.dry_run",
        target=campaign,
        mailout_id=mailout.pk,
    )
    return mailout
