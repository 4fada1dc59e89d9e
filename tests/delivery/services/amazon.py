"""Amazon in memory: SES and SNS as far as setting an account up and looking at it goes, refusing on demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from delivery.providers.base import AccountStatus, IdentityStatus, PermanentError, ProviderError, TransientError
from delivery.providers.ses.account import DeniedError, NotFoundError
from delivery.providers.ses.inspection import ConfigurationSet, EventDestination, IdentityDetails, Standing
from delivery.providers.ses.sns import Subscription

ACCOUNT = "123456789012"


def identity(name: str, **changes: object) -> IdentityDetails:
    """One that lacks nothing."""
    usual = IdentityDetails(
        name, True, "SUCCESS", True, "AWS_SES", ("t1", "t2", "t3"), "dkim.amazonses.com", f"bounce.{name}", "SUCCESS",
        "USE_DEFAULT_VALUE", "",
    )  # fmt: skip
    return usual._replace(**changes)  # type: ignore[arg-type]  # names of its fields


class Amazon:
    """Both services. denied: IAM's names of what the keys may not do; failures: errors by IAM's name, each once."""

    def __init__(self, region: str = "eu-west-1") -> None:
        self.region = region
        self.account = Standing(("BOUNCE", "COMPLAINT"), "")
        self.status = AccountStatus(True, True, "HEALTHY", 50_000, 14, 100)
        self.sets: dict[str, ConfigurationSet] = {}
        self.destinations: dict[str, dict[str, EventDestination]] = {}
        self.identities: dict[str, IdentityDetails] = {}
        self.topics: dict[str, dict[str, str]] = {}
        self.subscribed: dict[str, list[Subscription]] = {}
        self.raw: set[str] = set()
        self.denied: set[str] = set()
        self.failures: dict[str, ProviderError] = {}
        self.changes: list[str] = []
        self.confirms = True

    def _ask(self, action: str) -> None:
        if action in self.denied:
            raise DeniedError("AccessDenied: no", action)
        if failure := self.failures.pop(action, None):
            raise failure

    def _change(self, action: str) -> None:
        self._ask(action)
        self.changes.append(action)

    # SES

    def account_status(self) -> AccountStatus:
        self._ask("ses:GetAccount")
        return self.status

    def identity_status(self, name: str) -> IdentityStatus:
        found = self.identities.get(name.rpartition("@")[2])
        if found is None:
            raise PermanentError("no such identity")
        return IdentityStatus(name, found.is_verified, found.dkim_status, found.mail_from_domain)

    def standing(self) -> Standing:
        self._ask("ses:GetAccount")
        return self.account

    def configuration_set(self, name: str) -> ConfigurationSet:
        self._ask("ses:GetConfigurationSet")
        if name not in self.sets:
            raise NotFoundError("no set")
        return self.sets[name]

    def event_destinations(self, name: str) -> list[EventDestination]:
        self._ask("ses:GetConfigurationSetEventDestinations")
        if name not in self.sets:
            raise NotFoundError("no set")
        return list(self.destinations.get(name, {}).values())

    def identity_details(self, name: str) -> IdentityDetails:
        self._ask("ses:GetEmailIdentity")
        if name not in self.identities:
            raise NotFoundError("no identity")
        return self.identities[name]

    def create_configuration_set(self, name: str) -> None:
        self._change("ses:CreateConfigurationSet")
        self.sets.setdefault(name, ConfigurationSet(True, "", None))

    def create_event_destination(self, name: str, topic: str, types: Sequence[str]) -> None:
        self._change("ses:CreateConfigurationSetEventDestination")
        found = EventDestination("amazonsender", True, tuple(types), "sns", topic)
        self.destinations.setdefault(name, {})["amazonsender"] = found

    def put_identity(self, name: str) -> None:
        self._change("ses:CreateEmailIdentity")
        self.identities[name] = identity(name, is_verified=False, dkim_status="PENDING", mail_from_domain="")

    def put_mail_from(self, name: str, domain: str) -> None:
        self._change("ses:PutEmailIdentityMailFromAttributes")
        self.identities[name] = self.identities[name]._replace(mail_from_domain=domain, mail_from_status="PENDING")

    # SNS

    def topic_attributes(self, arn: str) -> dict[str, str]:
        self._ask("sns:GetTopicAttributes")
        if arn not in self.topics:
            raise NotFoundError("no topic")
        return self.topics[arn]

    def create_topic(self, name: str) -> str:
        self._change("sns:CreateTopic")
        arn = f"arn:aws:sns:{self.region}:{ACCOUNT}:{name}"
        self.topics.setdefault(arn, {})["SignatureVersion"] = "2"
        return arn

    def set_policy(self, arn: str, policy: str) -> None:
        self._change("sns:SetTopicAttributes")
        self.topics[arn]["Policy"] = policy

    def subscriptions(self, arn: str) -> list[Subscription]:
        self._ask("sns:ListSubscriptionsByTopic")
        if arn not in self.topics:
            raise NotFoundError("no topic")
        return self.subscribed.get(arn, [])

    def subscribe(self, arn: str, protocol: str, endpoint: str) -> str:
        self._change("sns:Subscribe")
        rows = self.subscribed.setdefault(arn, [])
        rows[:] = [row for row in rows if row.endpoint != endpoint]
        rows.append(Subscription(f"{arn}:{len(rows)}" if self.confirms else "", protocol, endpoint))
        return f"{arn}:x"

    def is_raw(self, subscription: str) -> bool:
        self._ask("sns:GetSubscriptionAttributes")
        return subscription in self.raw

    def deliver_with_envelope(self, subscription: str) -> None:
        self._change("sns:SetSubscriptionAttributes")
        self.raw.discard(subscription)

    def is_silent(self) -> None:
        """Nobody answers from now on."""
        self.failures = dict.fromkeys(("ses:GetAccount",), TransientError("SES cannot be reached: timed out"))

    def is_paused(self) -> None:
        self.status = replace(self.status, sending_enabled=False)
