"""Pausing, resuming and stopping a campaign that is going out: its mailout's acts, written down as the campaign's."""

from __future__ import annotations

from typing import Final

from django.db import transaction
from django.utils.translation import gettext as _

from amazonsender.core.errors import Conflict
from campaigns.models import Campaign
from delivery.models import Mailout
from delivery.services.controlling import cancel_mailout, pause_mailout, resume_mailout
from organizations.models import User
from organizations.services.audit import record

ACTS: Final = {"pause": pause_mailout, "resume": resume_mailout, "stop": cancel_mailout}
_VERBS: Final = {"pause": "paused", "resume": "resumed", "stop": "stopped"}


def control_campaign(*, campaign: Campaign, act: str, actor: User | None) -> Mailout:
    """Do one of ACTS. Raises Conflict when the campaign was not sent or its state does not allow it."""
    mailout = campaign.mailout
    if mailout is None:
        raise Conflict(_("This campaign has not been sent."))
    with transaction.atomic():
        ACTS[act](mailout=mailout, actor=actor)
        record(
            organization=campaign.organization,
            actor=actor,
            action=f"campaign.{_VERBS[act]}",
            target=campaign,
            mailout_id=mailout.pk,
        )
    return mailout
