"""Asking how an account is set up at Amazon and in DNS. What is found is kept as data; `points` judge it later."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from delivery.models import SendingAccount, SendingDomain
from delivery.providers.base import AmbiguousError, ProviderError, TransientError
from delivery.providers.ses import SesProvider
from delivery.providers.ses.account import DeniedError, NotFoundError
from delivery.providers.ses.names import service_of
from delivery.providers.ses.policies import lets_ses_publish
from delivery.providers.ses.sns import SnsTopics
from delivery.services.accounts import check_account
from delivery.services.domains import check_domain, domain_names
from delivery.services.providers import administration_for, topics_for

logger = structlog.get_logger(__name__)

Json = dict[str, Any]

KNOWN, MISSING, DENIED, FAILED = "known", "missing", "denied", "failed"
AGAIN_AFTER: Final = datetime.timedelta(seconds=10)
STALE_AFTER: Final = datetime.timedelta(minutes=10)
LONGEST_SECONDS: Final = 20.0  # after which nothing more is asked
MOST_TOPICS: Final = 3


class Asker:
    """Asks one thing after another. Once nobody answered, or the time is up, the rest is not asked any more."""

    def __init__(self, *, seconds: float = LONGEST_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends_at = clock() + seconds
        self._silence = ""

    @property
    def is_over(self) -> bool:
        """Whether its time is up."""
        return self._clock() > self._ends_at

    def ask(self, call: Callable[[], Json]) -> Json:
        """Return what a call gave with `state`: known, missing, denied (`action` is what IAM lacks) or failed."""
        if not self._silence and self.is_over:
            self._silence = "The time for this check is up."
        if self._silence:
            return {"state": FAILED, "error": self._silence}
        try:
            return {"state": KNOWN, **call()}
        except NotFoundError:
            return {"state": MISSING}
        except DeniedError as error:
            return {"state": DENIED, "action": error.action}
        except ProviderError as error:
            if isinstance(error, TransientError | AmbiguousError):
                self._silence = str(error)[:300]
            return {"state": FAILED, "error": str(error)[:300]}


def is_stale(account: SendingAccount) -> bool:
    """Whether it is time to look again for somebody who opens the page. Not where Local SES is not there to ask."""
    if account.provider != "ses" or (account.is_local and not settings.LOCALSES_URL):
        return False
    return account.inspected_at is None or timezone.now() - account.inspected_at > STALE_AFTER


def is_fresh(at: datetime.datetime | None) -> bool:
    """Whether something was looked at within the last minute."""
    return at is not None and timezone.now() - at < datetime.timedelta(minutes=1)


def look_again(*, account: SendingAccount, is_forced: bool = False) -> bool:
    """Ask the provider and DNS about everything; say whether it was time to.

    Once in ten seconds for each account, whoever presses how often, unless it is forced. Failures are kept as such.
    """
    if not is_forced and not _claim(account):
        return False
    check_account(account=account)
    if account.provider == "ses":
        inspect_account(account=account)
    return True


def inspect_account(*, account: SendingAccount) -> None:
    """Ask how the account is set up, and about each of its domains. Never raises ProviderError."""
    asker = Asker()
    inspection: Json = {}
    try:
        ses, topics = administration_for(account), topics_for(account)
    except ProviderError as error:
        inspection = {"standing": {"state": FAILED, "error": str(error)[:300]}}
    else:
        inspection = {"standing": asker.ask(lambda: _standing(ses))}
        if name := account.configuration_set:
            inspection["set"] = asker.ask(lambda: _configuration_set(ses, name))
            inspection["destinations"] = asker.ask(lambda: _destinations(ses, name))
        arns = [arn for arn in account.topic_arns if service_of(arn) == "sns"][:MOST_TOPICS]
        inspection["topics"] = [_topic(asker, topics, arn) for arn in arns]
    account.inspection, account.inspected_at = inspection, timezone.now()
    account.save(update_fields=["inspection", "inspected_at"])
    looked_at = _look_at_domains(account, asker)
    logger.info("delivery.account_inspected", account=account.pk, domains=looked_at)


def _look_at_domains(account: SendingAccount, asker: Asker) -> int:
    """Look at the domains not seen for longest, as many as time allows; forget those that no sender stands in."""
    names = domain_names(account)
    known = SendingDomain.objects.filter(account=account)
    known.exclude(name__in=names).delete()
    seen_at = dict(known.values_list("name", "checked_at"))
    longest_ago = datetime.datetime.min.replace(tzinfo=datetime.UTC)
    for number, name in enumerate(sorted(names, key=lambda name: (seen_at.get(name) or longest_ago, name))):
        if asker.is_over:
            return number
        check_domain(account=account, name=name, asker=asker)
    return len(names)


def look_at_domain(*, account: SendingAccount, name: str) -> SendingDomain:
    """Ask the provider and DNS about one domain."""
    return check_domain(account=account, name=name, asker=Asker())


def _claim(account: SendingAccount) -> bool:
    now = timezone.now()
    due = Q(inspected_at=None) | Q(inspected_at__lt=now - AGAIN_AFTER)
    return SendingAccount.objects.filter(due, pk=account.pk).update(inspected_at=now) == 1


def _standing(ses: SesProvider) -> Json:
    found = ses.standing()
    return {"suppressed": list(found.suppressed_reasons), "review": found.review_status}


def _configuration_set(ses: SesProvider, name: str) -> Json:
    found = ses.configuration_set(name)
    suppressed = None if found.suppressed_reasons is None else list(found.suppressed_reasons)
    return {
        "sending_enabled": found.sending_enabled,
        "redirect_domain": found.redirect_domain,
        "suppressed": suppressed,
    }


def _destinations(ses: SesProvider, name: str) -> Json:
    rows = [
        {
            "name": row.name,
            "enabled": row.is_enabled,
            "types": list(row.event_types),
            "kind": row.kind,
            "target": row.target,
        }
        for row in ses.event_destinations(name)
    ]
    return {"rows": rows}


def _topic(asker: Asker, topics: SnsTopics, arn: str) -> Json:
    return {
        "arn": arn,
        "attributes": asker.ask(lambda: _attributes(topics, arn)),
        "subscriptions": asker.ask(lambda: {"rows": _subscriptions(asker, topics, arn)}),
    }


def _attributes(topics: SnsTopics, arn: str) -> Json:
    attributes = topics.topic_attributes(arn)
    return {
        "signature": attributes.get("SignatureVersion", "1"),
        "lets_ses_publish": lets_ses_publish(attributes.get("Policy", ""), arn),
    }


def _subscriptions(asker: Asker, topics: SnsTopics, arn: str) -> list[Json]:
    """Those that may be ours; raw: known of confirmed ones that the keys may look at, else None."""
    rows = []
    for one in topics.subscriptions(arn):
        if one.protocol not in ("http", "https", "sqs"):
            continue
        raw = asker.ask(lambda one=one: {"raw": topics.is_raw(one.arn)}) if one.arn else {}  # type: ignore[misc]
        rows.append(
            {"confirmed": bool(one.arn), "protocol": one.protocol, "endpoint": one.endpoint, "raw": raw.get("raw")}
        )
    return rows
