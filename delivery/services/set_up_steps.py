"""The steps of setting an account up at Amazon. Each looks first, and does nothing where there is nothing to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from amazonsender.core.loopback import is_loopback
from delivery.domains.names import is_reserved
from delivery.domains.wanted import SUGGESTED_MAIL_FROM
from delivery.models import SendingAccount
from delivery.providers.ses import SesProvider
from delivery.providers.ses.account import DeniedError, NotFoundError
from delivery.providers.ses.names import region_of, service_of
from delivery.providers.ses.policies import names_ses, with_ses_allowed
from delivery.providers.ses.sns import SnsTopics
from delivery.services.accounts import EVENT_TYPES
from delivery.services.domains import domain_names
from delivery.services.event_points import events_endpoint, queue_arns


class Found(StrEnum):
    """What a step finds when it looks."""

    THERE = "there"
    CREATE = "create"
    CHANGE = "change"
    BLOCKED = "blocked"  # nobody can do it by a call


@dataclass
class Work:
    """What the steps share. topic_arn: "" until the topic is known; queue: ARN of what `poll_events` reads, or ""."""

    account: SendingAccount
    ses: SesProvider
    topics: SnsTopics
    set_name: str
    topic_name: str
    topic_arn: str
    queue: str
    has_stream: bool
    reasons: dict[str, str] = field(default_factory=dict)  # why a step is blocked, by its key

    @property
    def endpoint(self) -> tuple[str, str]:
        """Protocol and address of the subscription."""
        if self.queue:
            return "sqs", self.queue
        address = events_endpoint()
        return urlsplit(address).scheme, address


class Step(NamedTuple):
    """needs: keys of the steps without which it makes no sense. detail: what it is called at Amazon."""

    key: str
    needs: tuple[str, ...]
    title: str
    detail: Callable[[Work], str]
    look: Callable[[Work], Found]
    do: Callable[[Work], None]


TITLES: Final = {
    "set": gettext_lazy("Configuration set"),
    "topic": gettext_lazy("SNS topic that signs with SHA-256"),
    "policy": gettext_lazy("Policy that lets SES publish to the topic"),
    "believe": gettext_lazy("Remember both here: only this topic is believed"),
    "subscription": gettext_lazy("Subscription of this server"),
    "destination": gettext_lazy("Event destination of the configuration set"),
    "domain": gettext_lazy("Domain, registered at Amazon"),
    "mail_from": gettext_lazy("MAIL FROM domain"),
}


def work_on(account: SendingAccount, ses: SesProvider, topics: SnsTopics) -> Work:
    """Names of what is to be there: those that the account has already, else ours."""
    ours = f"amazonsender-{account.organization_id}"
    arns = [arn for arn in account.topic_arns if service_of(arn) == "sns" and region_of(arn) == account.region]
    queues = [] if account.is_local else [arn for arn in queue_arns() if region_of(arn) == account.region]
    has_stream = not arns and any(service_of(arn) == "firehose" for arn in account.topic_arns)
    return Work(
        account=account,
        ses=ses,
        topics=topics,
        set_name=account.configuration_set or ours,
        topic_name=arns[0].rpartition(":")[2] if arns else ours,
        topic_arn=arns[0] if arns else "",
        queue=queues[0] if queues else "",
        has_stream=has_stream,
    )


def list_steps(work: Work, *, with_domains: bool) -> list[Step]:
    """The steps in their order. With a Firehose stream instead of a topic there is nothing to subscribe."""
    steps = [
        _step(
            "set",
            (),
            lambda work: work.set_name,
            _look_for_set,
            lambda work: work.ses.create_configuration_set(work.set_name),
        ),
    ]
    if not work.has_stream:
        steps += [
            _step("topic", (), lambda work: work.topic_arn or work.topic_name, _look_for_topic, _make_topic),
            _step("policy", ("topic",), lambda work: "ses.amazonaws.com", _look_at_policy, _allow_ses),
            _step("believe", ("set", "topic"), lambda work: "", _look_here, _remember),
            _step("subscription", ("topic", "believe"), lambda work: work.endpoint[1], _look_for_us, _subscribe),
        ]
    destination_needs = ("set",) if work.has_stream else ("set", "topic", "policy")
    steps.append(_step("destination", destination_needs, lambda work: work.set_name, _look_for_destination, _report))
    if with_domains:
        for name in _own_domains(work.account):
            steps += [_domain_step(name), _mail_from_step(name)]
    return steps


def _step(
    key: str,
    needs: tuple[str, ...],
    detail: Callable[[Work], str],
    look: Callable[[Work], Found],
    do: Callable[[Work], None],
) -> Step:
    return Step(key, needs, str(TITLES[key]), detail, look, do)


def _look_for_set(work: Work) -> Found:
    try:
        work.ses.configuration_set(work.set_name)
    except NotFoundError:
        return Found.CREATE
    return Found.THERE


def _look_for_topic(work: Work) -> Found:
    if not work.topic_arn:
        return Found.CREATE
    try:
        attributes = work.topics.topic_attributes(work.topic_arn)
    except NotFoundError:
        return Found.CREATE
    return Found.THERE if attributes.get("SignatureVersion") == "2" else Found.CHANGE


def _make_topic(work: Work) -> None:
    """Amazon answers with the topic of this name where there is one already."""
    work.topic_arn = work.topics.create_topic(work.topic_name)


def _look_at_policy(work: Work) -> Found:
    if not work.topic_arn:
        return Found.CREATE
    try:
        return Found.THERE if names_ses(_policy(work), work.topic_arn) else Found.CHANGE
    except NotFoundError:
        return Found.CREATE


def _policy(work: Work) -> str:
    return work.topics.topic_attributes(work.topic_arn).get("Policy", "")


def _allow_ses(work: Work) -> None:
    work.topics.set_policy(work.topic_arn, with_ses_allowed(_policy(work), work.topic_arn))


def _look_here(work: Work) -> Found:
    is_known = bool(work.topic_arn) and work.topic_arn in work.account.topic_arns
    return Found.THERE if is_known and work.account.configuration_set == work.set_name else Found.CHANGE


def _remember(work: Work) -> None:
    """Believed before it is subscribed: the confirmation comes at once."""
    with transaction.atomic():
        account = SendingAccount.objects.select_for_update().get(pk=work.account.pk)
        account.configuration_set = work.set_name
        account.topic_arns = list(dict.fromkeys([*account.topic_arns, work.topic_arn]))
        account.save(update_fields=["configuration_set", "topic_arns"])
    work.account.configuration_set, work.account.topic_arns = account.configuration_set, account.topic_arns


def _look_for_us(work: Work) -> Found:
    if not work.queue and not work.account.is_local and is_loopback(settings.PUBLIC_URL):
        work.reasons["subscription"] = _(
            "Amazon can’t reach %(url)s. Set PUBLIC_URL to this server’s public address, or read events from a queue."
        ) % {"url": settings.PUBLIC_URL}
        return Found.BLOCKED
    if not work.topic_arn:
        return Found.CREATE
    subscription = _ours(work)
    if subscription is None:
        return Found.CREATE
    return Found.CHANGE if not subscription or _is_raw(work, subscription) else Found.THERE


def _ours(work: Work) -> str | None:
    """ARN of our subscription: "" while SNS waits for its confirmation, None without one."""
    try:
        found = work.topics.subscriptions(work.topic_arn)
    except NotFoundError:
        return None
    return next((one.arn for one in found if (one.protocol, one.endpoint) == work.endpoint), None)


def _is_raw(work: Work, subscription: str) -> bool:
    """In a queue raw messages are read, too, where its ARN is believed. Who may not look finds nothing amiss."""
    if work.queue in work.account.topic_arns:
        return False
    try:
        return work.topics.is_raw(subscription)
    except DeniedError:
        return False


def _subscribe(work: Work) -> None:
    """Subscribe, have SNS ask for the confirmation again, or take the envelope back."""
    if subscription := _ours(work):
        work.topics.deliver_with_envelope(subscription)
    else:
        work.topics.subscribe(work.topic_arn, *work.endpoint)


def _look_for_destination(work: Work) -> Found:
    try:
        rows = work.ses.event_destinations(work.set_name)
    except NotFoundError:
        rows = []
    if work.has_stream:
        if any(row.kind == "firehose" and row.target in work.account.topic_arns for row in rows):
            return Found.THERE
        work.reasons["destination"] = _("A Firehose destination needs a role that you make: docs/ses.md shows it.")
        return Found.BLOCKED
    ours = [row for row in rows if row.kind == "sns" and work.topic_arn and row.target == work.topic_arn]
    types = {kind for row in ours if row.is_enabled for kind in row.event_types}
    if types >= set(EVENT_TYPES):
        return Found.THERE
    return Found.CHANGE if ours else Found.CREATE


def _report(work: Work) -> None:
    work.ses.create_event_destination(work.set_name, work.topic_arn, EVENT_TYPES)


def _own_domains(account: SendingAccount) -> list[str]:
    """Domains of the owner's senders, the ones below others left out: the identity above covers them."""
    owners = {
        identity.rpartition("@")[2]
        for identity in account.identities.filter(organization_id=account.organization_id).values_list(
            "identity", flat=True
        )
    }
    names = [name for name in domain_names(account) if name in owners and (account.is_local or not is_reserved(name))]
    return [name for name in names if not any(name.endswith(f".{other}") for other in names)]


def _domain_step(name: str) -> Step:
    def look(work: Work) -> Found:
        try:
            work.ses.identity_details(name)
        except NotFoundError:
            return Found.CREATE
        return Found.THERE

    def do(work: Work) -> None:
        work.ses.put_identity(name)

    return Step(f"domain:{name}", (), str(TITLES["domain"]), lambda work: name, look, do)


def _mail_from_step(name: str) -> Step:
    def look(work: Work) -> Found:
        try:
            found = work.ses.identity_details(name)
        except NotFoundError:
            return Found.CREATE
        return Found.THERE if found.mail_from_domain else Found.CREATE

    def do(work: Work) -> None:
        work.ses.put_mail_from(name, f"{SUGGESTED_MAIL_FROM}.{name}")

    def detail(work: Work) -> str:
        return f"{SUGGESTED_MAIL_FROM}.{name}"

    return Step(f"mail_from:{name}", (f"domain:{name}",), str(TITLES["mail_from"]), detail, look, do)
