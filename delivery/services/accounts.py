"""Sending accounts: make one, add senders, ask the provider how it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils.translation import gettext as _

from amazonsender.core.errors import Forbidden, InvalidInput
from delivery.engine.database import Connection
from delivery.engine.home import unsafe_durability
from delivery.models import AccountPace, ParkReason, SenderIdentity, SendingAccount
from delivery.providers.base import AccountStatus, ProviderError
from delivery.providers.registry import provider_class
from delivery.services.providers import administration_for, provider_for
from organizations.models import Organization, User
from organizations.selectors.operators import has_several_organizations, is_operator
from organizations.services.audit import record

logger = structlog.get_logger(__name__)

UNLIMITED_DAY = 2**53
EVENTS_PATH: Final = "/webhooks/ses/"
EVENT_TYPES: Final = ("SEND", "REJECT", "BOUNCE", "COMPLAINT", "DELIVERY", "RENDERING_FAILURE", "DELIVERY_DELAY")
TOLD_BY_THE_PROVIDER: Final = (
    "check_error",
    "checked_at",
    "sending_enabled",
    "production_access",
    "enforcement_status",
    "max_send_rate",
    "max_24_hour_send",
    "sent_last_24_hours",
)
DEALT_OUT: Final = {"region", "configuration_set", "topic_arns"}  # what connects an account to the shared credentials
# What a healthy answer of the provider lifts by itself; home waits for its own check.
LIFTED_BY_HEALTH = (
    ParkReason.PAUSED,
    ParkReason.SUSPENDED,
    ParkReason.REVIEW,
    ParkReason.MISCONFIGURED,
    ParkReason.OUTAGE,
)


def create_account(
    *,
    organization: Organization,
    actor: User | None,
    name: str,
    region: str = "us-east-1",
    provider: str = "ses",
    is_local: bool = False,
    configuration_set: str = "",
    topic_arns: list[str] | None = None,
    **fields: Any,
) -> SendingAccount:
    """Make an account and its limiter row; it starts at SES's smallest limits until it was checked.

    actor: None for the command line. fields: others of the model. Raises InvalidInput, and Forbidden for a real account when they run only one of
    several organizations.
    """
    if not is_local:
        require_operator(actor)
    if is_local and not settings.LOCALSES_URL:
        raise InvalidInput(_("Local SES is not configured: set LOCALSES_URL."))
    with transaction.atomic():
        account = SendingAccount.objects.create(
            organization=organization,
            name=name,
            region=region,
            provider=provider,
            is_local=is_local,
            configuration_set=configuration_set,
            topic_arns=topic_arns or [],
            **fields,
        )
        now = datetime.now(UTC)
        AccountPace.objects.create(
            account=account,
            mail_tat=now,
            call_tat=now,
            max_rate=account.max_send_rate,
            max_calls=account.max_calls_per_second,
            day_limit=int(account.max_24_hour_send),
        )
    return account


def update_account(*, account: SendingAccount, actor: User | None, changes: dict[str, object]) -> SendingAccount:
    """Save changed fields of an account and ask the provider again; the values are validated by whoever calls.

    What is verified in one region is not in another, so that a new region's senders start as not verified; and what was
    found of another configuration set or topic says nothing of the new one. Raises Forbidden for what an operator decides.
    """
    if not changes:
        return account
    if not account.is_local and DEALT_OUT & changes.keys():
        require_operator(actor)
    for name, value in changes.items():
        setattr(account, name, value)
    fields = sorted(changes)
    if DEALT_OUT & changes.keys():
        account.inspection, account.inspected_at = {}, None
        fields += ["inspection", "inspected_at"]
    with transaction.atomic():
        account.save(update_fields=fields)
        if "region" in changes:
            account.identities.update(is_verified=False, dkim_status="", mail_from_domain="", checked_at=None)
            account.domains.all().delete()
        record(
            organization=account.organization,
            actor=actor,
            action="account.changed",
            target=account,
            fields=sorted(changes),
        )
    return check_account(account=account)


def require_operator(actor: User | None) -> None:
    """Raise Forbidden unless somebody runs the installation.

    All organizations send with the same credentials: which may use a region, a topic or a sender is no organization's to
    say, or the first to claim a domain would have it.
    """
    if not is_operator(actor):
        raise Forbidden(
            _("Several organizations share this installation’s Amazon account. Ask whoever runs it to do this for you.")
        )


def add_sender(
    *, account: SendingAccount, organization: Organization, actor: User | None, identity: str
) -> SenderIdentity:
    """Register a sender address or domain with the provider and remember it. Raises Forbidden as create_account.

    Whoever opens the account's page next finds the domain looked up.
    """
    if not account.is_local:
        require_operator(actor)
    else:
        administration_for(account).put_identity(identity)
    sender, _made = SenderIdentity.objects.get_or_create(
        organization=organization, account=account, identity=identity.lower()
    )
    SendingAccount.objects.filter(pk=account.pk).update(inspected_at=None)
    refresh_sender(sender)
    return sender


def refresh_sender(sender: SenderIdentity) -> None:
    """Ask the provider whether a sender is verified. A failing question leaves what we know."""
    try:
        status = provider_for(sender.account).identity_status(sender.identity)
    except ProviderError as error:
        logger.warning("delivery.sender_check_failed", account=sender.account_id, error=str(error))
        return
    sender.is_verified = status.verified and not _is_somebody_elses(sender)
    sender.dkim_status = status.dkim_status
    sender.mail_from_domain = status.mail_from_domain
    sender.checked_at = datetime.now(UTC)
    sender.save(update_fields=["is_verified", "dkim_status", "mail_from_domain", "checked_at"])


def _is_somebody_elses(sender: SenderIdentity) -> bool:
    """Whether another organization had this address or domain verified before, in whatever order they were written down.

    Organizations of one installation share the provider's credentials, so that the provider vouches for each of them
    when it vouches for one. What the owner of a shared account holds may be used by those it was granted to; Local SES
    reaches nobody.
    """
    if sender.account.is_local:
        return False
    name = sender.identity.lower()
    domain = name.rpartition("@")[2]
    same = Q(identity__in=[name, domain])
    if name == domain:
        same |= Q(identity__endswith=f"@{domain}")
    earlier = SenderIdentity.objects.filter(same, is_verified=True, account__is_local=False)
    if sender.is_verified:  # both are: the first one stays
        earlier = earlier.filter(pk__lt=sender.pk)
    owners = [sender.organization_id, sender.account.organization_id]
    if not earlier.exclude(organization__in=owners).exists():
        return False
    logger.warning("delivery.sender_of_another_organization", sender=sender.pk, organization=sender.organization_id)
    return True


def is_sender_verified(*, account: SendingAccount, organization: Organization, address: str) -> bool:
    """Whether the address or its domain is verified; asked at the provider when not known to be.

    On a real account of an installation with several organizations nobody claims a sender by writing it: an operator
    adds it. What the owner of a shared account holds may be used by those it was granted to.
    """
    address = address.lower()
    names = [address, address.rpartition("@")[2]]
    verified = account.identities.filter(identity__in=names, is_verified=True)
    if verified.filter(organization=organization).exists():
        return True
    if not account.is_local and has_several_organizations():
        return verified.filter(organization=account.organization_id).exists()
    sender, _made = SenderIdentity.objects.get_or_create(organization=organization, account=account, identity=address)
    refresh_sender(sender)
    return sender.is_verified


def check_account(*, account: SendingAccount, durability_problem: str = "") -> SendingAccount:
    """Poll GetAccount: limits go to the limiter, trouble parks the account, health lets it go on."""
    now = datetime.now(UTC)
    try:
        status = provider_for(account).account_status()
    except ProviderError as error:
        account.check_error = str(error)[:500]
        account.checked_at = now
        account.save(update_fields=["check_error", "checked_at"])
        logger.warning("delivery.account_check_failed", account=account.pk, error=str(error))
        return account
    if not provider_class(account.provider).tells_limits:
        status = _limits_of_the_owner(account, status)
    account.check_error = ""
    account.checked_at = now
    account.sending_enabled = status.sending_enabled
    account.production_access = status.production_access
    account.enforcement_status = status.enforcement_status
    account.max_send_rate = status.max_send_rate
    account.max_24_hour_send = status.max_24_hour_send
    account.sent_last_24_hours = status.sent_last_24_hours
    account.save(update_fields=TOLD_BY_THE_PROVIDER)  # somebody may have edited the rest while the provider answered
    _apply_limits(account, status)
    _apply_health(account, durability_problem)
    for sender in account.identities.all():
        refresh_sender(sender)
    return account


def _limits_of_the_owner(account: SendingAccount, status: AccountStatus) -> AccountStatus:
    """Rate and day as entered for the account, and what went through us of it."""
    used = AccountPace.objects.filter(account=account).values_list("day_used", flat=True).first() or 0
    return replace(
        status,
        max_send_rate=account.rate_limit or 1.0,
        max_24_hour_send=-1.0 if account.day_limit is None else float(account.day_limit),
        sent_last_24_hours=float(used),
    )


def _apply_limits(account: SendingAccount, status: AccountStatus) -> None:
    rate = min(status.max_send_rate, account.rate_limit or status.max_send_rate)
    pace = AccountPace.objects.filter(account=account)
    used = pace.values_list("day_used", flat=True).first() or 0
    if status.max_24_hour_send < 0:
        day_limit = UNLIMITED_DAY
    else:  # what others sent through the same account is not ours to send again
        day_limit = int(status.max_24_hour_send - max(0.0, status.sent_last_24_hours - used))
    pace.update(max_rate=max(rate, 0.1), max_calls=account.max_calls_per_second, day_limit=day_limit)
    # A park for quota ends when the day has room again.
    pace.filter(parked_reason=ParkReason.QUOTA, day_used__lt=F("day_limit")).update(parked_reason="", parked_until=None)


def _apply_health(account: SendingAccount, durability_problem: str) -> None:
    reason = ""
    if not account.sending_enabled or account.enforcement_status == "SHUTDOWN":
        reason = ParkReason.SUSPENDED if account.enforcement_status == "SHUTDOWN" else ParkReason.PAUSED
    elif account.enforcement_status == "PROBATION":
        reason = ParkReason.REVIEW
    elif durability_problem and not account.is_local:
        reason = ParkReason.MISCONFIGURED
        SendingAccount.objects.filter(pk=account.pk).update(check_error=durability_problem)
    pace = AccountPace.objects.filter(account=account).exclude(parked_reason=ParkReason.HOME)
    if reason:
        pace.update(parked_reason=reason, parked_until=None)
    else:
        pace.filter(parked_reason__in=LIFTED_BY_HEALTH).update(parked_reason="", parked_until=None)


def durability_problem(connection: Connection) -> str:
    """What is unsafe about the database for real accounts, as a sentence; "" when nothing is."""
    names = unsafe_durability(connection)
    if not names:
        return ""
    return _("PostgreSQL runs with %(names)s = off: after a crash it would forget what was sent. Turn it on.") % {
        "names": ", ".join(names)
    }
