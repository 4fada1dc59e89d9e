"""What a sending account asks its provider, answered as a test says."""

from __future__ import annotations

from typing import Any

from delivery.providers.base import AccountStatus, IdentityStatus, PermanentError

HEALTHY = AccountStatus(True, True, "HEALTHY", 50_000, 14, 100)


class FakeAmazon:
    """Answers as told and remembers what was set up."""

    def __init__(self) -> None:
        self.status: AccountStatus | Exception = HEALTHY
        self.identities: dict[str, bool] = {}
        self.asked: list[str] = []
        self.done: list[tuple[Any, ...]] = []
        self.subscriptions: dict[str, str] = {}

    def account_status(self) -> AccountStatus:
        if isinstance(self.status, Exception):
            raise self.status
        return self.status

    def identity_status(self, identity: str) -> IdentityStatus:
        self.asked.append(identity)
        if identity not in self.identities:
            raise PermanentError("no such identity")
        return IdentityStatus(identity, self.identities[identity], "SUCCESS", f"bounce.{identity}")

    def put_identity(self, identity: str) -> None:
        self.identities[identity] = True

    def create_configuration_set(self, name: str) -> None:
        self.done.append(("set", name))

    def create_topic(self, name: str) -> str:
        return f"arn:aws:sns:us-east-1:000000000000:{name}"

    def subscribe(self, topic: str, protocol: str, endpoint: str) -> None:
        self.done.append(("subscribe", topic, protocol, endpoint))
        self.subscriptions[f"{topic}:{endpoint}"] = endpoint

    def list_subscriptions(self, topic: str) -> dict[str, str]:
        return {arn: endpoint for arn, endpoint in self.subscriptions.items() if arn.startswith(f"{topic}:")}

    def unsubscribe(self, subscription: str) -> None:
        del self.subscriptions[subscription]

    def create_event_destination(self, name: str, topic: str, types: tuple[str, ...]) -> None:
        self.done.append(("destination", name, topic, types))
