"""Setting an account up at Amazon: first what would be done, then doing it, as often as somebody likes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import structlog
from django.utils.translation import gettext as _

from amazonsender.core.errors import Forbidden, InvalidInput
from delivery.models import SendingAccount
from delivery.providers.base import ProviderError
from delivery.providers.ses.account import DeniedError
from delivery.providers.ses.policies import server_policy
from delivery.services.accounts import require_operator
from delivery.services.belonging import require_belonging
from delivery.services.inspecting import look_again
from delivery.services.providers import administration_for, topics_for
from delivery.services.set_up_steps import Found, Step, Work, list_steps, work_on
from organizations.models import Organization, User
from organizations.services.audit import record

logger = structlog.get_logger(__name__)

# How a step stands before (there, create, change, blocked, unknown) and after (there, done, refused, failed, skipped,
# blocked) it was tried.
THERE, UNKNOWN, DONE, REFUSED, FAILED, SKIPPED, BLOCKED = (
    "there",
    "unknown",
    "done",
    "refused",
    "failed",
    "skipped",
    "blocked",
)
ACHIEVED: Final = frozenset({THERE, DONE})


@dataclass(frozen=True)
class StepReport:
    """reason: why it is blocked, failed or skipped, or what is not known. action: what IAM has to allow."""

    key: str
    title: str
    detail: str
    state: str
    reason: str = ""
    action: str = ""


def plan_set_up(
    *, account: SendingAccount, organization: Organization, actor: User | None, with_domains: bool = False
) -> list[StepReport]:
    """Look at what is there, and tell what would be done; changes nothing.

    Raises NotFound and Forbidden for an account that isn't the organization's to set up, InvalidInput for one that is
    not at Amazon, ProviderError for credentials that can't be had.
    """
    work = _open(account, organization, actor)
    return [_looked(step, work) for step in list_steps(work, with_domains=with_domains)]


def set_up_account(
    *, account: SendingAccount, organization: Organization, actor: User | None, with_domains: bool = False
) -> list[StepReport]:
    """Do what is missing, in order; what fails leaves the rest undone that needs it, and may be tried again.

    A second time changes nothing. Raises as `plan_set_up`. actor: None for the command line.
    """
    work = _open(account, organization, actor)
    reports: dict[str, StepReport] = {}
    for step in list_steps(work, with_domains=with_domains):
        lacking = [key for key in step.needs if reports[key].state not in ACHIEVED]
        if lacking:
            reason = _("It needs: %(steps)s.") % {"steps": ", ".join(reports[key].title for key in lacking)}
            reports[step.key] = _report(step, work, SKIPPED, reason=reason)
        else:
            reports[step.key] = _done(step, work)
    record(
        organization=account.organization,
        actor=actor,
        action="account.set_up",
        target=account,
        done=[key for key, report in reports.items() if report.state == DONE],
        refused=[key for key, report in reports.items() if report.state not in ACHIEVED],
    )
    logger.info("delivery.account_set_up", account=account.pk, states={key: r.state for key, r in reports.items()})
    look_again(account=account, is_forced=True)
    return list(reports.values())


def policy_of(account: SendingAccount) -> dict[str, Any]:
    """The least that IAM has to allow the server for this account, setting it up included."""
    arns = [arn.split(":") for arn in account.topic_arns]
    numbers = [arn[4] for arn in arns if len(arn) > 4]
    names = [arn[5] for arn in arns if len(arn) > 5 and arn[2] == "sns"]
    ours = f"amazonsender-{account.organization_id}"
    return server_policy(
        region=account.region,
        account=numbers[0] if numbers else "123456789012",
        identities=sorted(account.identities.values_list("identity", flat=True)) or ["example.com"],
        configuration_set=account.configuration_set or ours,
        topic=names[0] if names else ours,
        may_set_up=True,
    )


def _open(account: SendingAccount, organization: Organization, actor: User | None) -> Work:
    require_belonging(organization=organization, account=account, emails=())
    if account.organization_id != organization.pk:
        raise Forbidden(_("This account is another organization’s: its owner sets it up."))
    if account.provider != "ses":
        raise InvalidInput(_("“%(account)s” is no Amazon SES account.") % {"account": account})
    if not account.is_local:
        require_operator(actor)
    return work_on(account, administration_for(account), topics_for(account))


def _looked(step: Step, work: Work) -> StepReport:
    try:
        found = step.look(work)
    except DeniedError as error:
        reason = _("The keys may not look whether it is there; it would be tried.")
        return _report(step, work, UNKNOWN, reason=reason, action=error.action)
    except ProviderError as error:
        return _report(step, work, UNKNOWN, reason=str(error)[:300])
    return _report(step, work, found, reason=work.reasons.get(step.key, ""))


def _done(step: Step, work: Work) -> StepReport:
    """Look, and do it unless it is there. Who may not look may still do: every step may be repeated."""
    before = _looked(step, work)
    if before.state in (THERE, BLOCKED) or (before.state == UNKNOWN and not before.action):
        return before if before.state != UNKNOWN else _report(step, work, FAILED, reason=before.reason)
    try:
        step.do(work)
    except DeniedError as error:
        return _report(step, work, REFUSED, reason=_("The keys may not do it."), action=error.action)
    except ProviderError as error:
        return _report(step, work, FAILED, reason=str(error)[:300])
    return _report(step, work, DONE)


def _report(step: Step, work: Work, state: str | Found, *, reason: str = "", action: str = "") -> StepReport:
    return StepReport(step.key, step.title, step.detail(work), str(state), reason, action)
