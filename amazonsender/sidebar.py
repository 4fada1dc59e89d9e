"""What the apps below the wiring put into the sidebar: how many campaigns are being sent, how the sender is doing."""

from __future__ import annotations

from django.db.models import Q
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _

from campaigns.models import Campaign
from campaigns.models.campaign import CampaignState
from campaigns.selectors.states import in_state
from delivery.models import AccountPace, SendingAccount
from organizations.admin.shell import HealthNote, sidebar_badge, sidebar_health
from organizations.models import Member
from organizations.templatetags.ui import n

REVIEWED = "PROBATION"
SHUT_DOWN = "SHUTDOWN"


@sidebar_badge("admin:campaigns_campaign_changelist")
def count_sending(member: Member) -> int:
    """Return how many campaigns are being sent."""
    ours = Campaign.objects.filter(organization=member.organization_id)
    return in_state(ours, CampaignState.SENDING).count()


@sidebar_health
def sender_health(member: Member) -> HealthNote | None:
    """Describe the account that the organization sends through, with one query."""
    ours = Q(organization=member.organization_id) | Q(grants__organization=member.organization_id)
    account = SendingAccount.objects.filter(ours).select_related("pace").order_by("pk").first()
    link = _link()
    if account is None or not link:
        return None
    pace: AccountPace | None = getattr(account, "pace", None)
    if pace is not None and pace.parked_reason:
        return HealthNote("stop", _("Sending is stopped"), pace.get_parked_reason_display(), link)
    if account.is_local:
        return HealthNote("ok", _("Local SES"), _("nothing reaches real people"), link)
    return _amazons_word(account, pace, link)


def _amazons_word(account: SendingAccount, pace: AccountPace | None, link: str) -> HealthNote:
    if not account.sending_enabled or account.enforcement_status == SHUT_DOWN:
        return HealthNote("stop", _("Amazon SES: paused"), _("Amazon stopped this account"), link)
    if account.enforcement_status == REVIEWED:
        return HealthNote("warn", _("Amazon SES: under review"), _("Amazon looks at bounces and complaints"), link)
    limit = n(int(account.max_24_hour_send))
    if not account.production_access:
        detail = _("only verified addresses, %(limit)s a day") % {"limit": limit}
        return HealthNote("warn", _("Amazon SES: sandbox"), detail, link)
    used = n(pace.day_used if pace is not None else int(account.sent_last_24_hours))
    return HealthNote(
        "ok", _("Amazon SES: healthy"), _("%(used)s of %(limit)s today") % {"used": used, "limit": limit}, link
    )


def _link() -> str:
    try:
        return reverse("admin:delivery_sendingaccount_changelist")
    except NoReverseMatch:
        return ""
