"""Topics that carry SES's events, and the subscriptions that bring them to us."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from delivery.providers.ses.aws_client import translated_errors
from delivery.providers.ses.regional import RegionalService

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

SIGNATURE_VERSION = "2"  # RSA with SHA-256; a topic's default, 1, is SHA-1
UNCONFIRMED = "PendingConfirmation"  # in place of the ARN; such a subscription ends by itself


class Subscription(NamedTuple):
    """Somebody who hears of a topic's messages. arn: "" while it is not confirmed."""

    arn: str
    protocol: str
    endpoint: str


class SnsTopics(RegionalService):
    """Amazon SNS in one region. All methods raise ProviderError; all may be repeated."""

    service = "sns"

    def create_topic(self, name: str) -> str:
        """Make sure that the topic exists and signs with SHA-256; return its ARN."""
        with translated_errors("sns"):
            topic_arn = self._sns().create_topic(Name=name)["TopicArn"]
        self.set_signature_version(topic_arn)
        return topic_arn

    def set_signature_version(self, topic_arn: str, version: str = SIGNATURE_VERSION) -> None:
        """Choose how messages of the topic are signed: "1" (SHA-1) or "2" (SHA-256)."""
        with translated_errors("sns"):
            self._sns().set_topic_attributes(
                TopicArn=topic_arn, AttributeName="SignatureVersion", AttributeValue=version
            )

    def subscribe(self, topic_arn: str, protocol: str, endpoint: str) -> str:
        """Subscribe an address to the topic; return the subscription's ARN, which exists before it is confirmed."""
        with translated_errors("sns"):
            answer = self._sns().subscribe(
                TopicArn=topic_arn, Protocol=protocol, Endpoint=endpoint, ReturnSubscriptionArn=True
            )
        return answer["SubscriptionArn"]

    def confirm_subscription(self, topic_arn: str, token: str) -> str:
        """Confirm with the token that SNS posted; return the subscription's ARN.

        Afterwards only signed requests of the topic's owner can unsubscribe, not whoever finds a message's
        UnsubscribeURL.
        """
        with translated_errors("sns"):
            answer = self._sns().confirm_subscription(TopicArn=topic_arn, Token=token, AuthenticateOnUnsubscribe="true")
        return answer["SubscriptionArn"]

    def subscriptions(self, topic_arn: str) -> list[Subscription]:
        """Return all subscriptions of the topic, also those that nobody has confirmed yet."""
        with translated_errors("sns"):
            pages = self._sns().get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic_arn)
            found = [subscription for page in pages for subscription in page["Subscriptions"]]
        return [
            Subscription(
                one["SubscriptionArn"] if one["SubscriptionArn"] != UNCONFIRMED else "",
                one.get("Protocol", ""),
                one["Endpoint"],
            )
            for one in found
        ]

    def list_subscriptions(self, topic_arn: str) -> dict[str, str]:
        """Return the endpoint of each confirmed subscription of the topic, by the subscription's ARN."""
        return {one.arn: one.endpoint for one in self.subscriptions(topic_arn) if one.arn}

    def topic_attributes(self, topic_arn: str) -> dict[str, str]:
        """Return what is set for the topic: Policy, SignatureVersion, counts of subscriptions and more."""
        with translated_errors("sns"):
            return dict(self._sns().get_topic_attributes(TopicArn=topic_arn)["Attributes"])

    def set_policy(self, topic_arn: str, policy: str) -> None:
        """Say who may do what with the topic, as a policy in JSON; it takes the place of the one before."""
        with translated_errors("sns"):
            self._sns().set_topic_attributes(TopicArn=topic_arn, AttributeName="Policy", AttributeValue=policy)

    def is_raw(self, subscription_arn: str) -> bool:
        """Say whether a subscription gets messages without their envelope, and so without signature."""
        with translated_errors("sns"):
            answer = self._sns().get_subscription_attributes(SubscriptionArn=subscription_arn)
        return answer["Attributes"].get("RawMessageDelivery") == "true"

    def deliver_with_envelope(self, subscription_arn: str) -> None:
        """Turn raw message delivery off."""
        with translated_errors("sns"):
            self._sns().set_subscription_attributes(
                SubscriptionArn=subscription_arn, AttributeName="RawMessageDelivery", AttributeValue="false"
            )

    def unsubscribe(self, subscription_arn: str) -> None:
        """End a subscription."""
        with translated_errors("sns"):
            self._sns().unsubscribe(SubscriptionArn=subscription_arn)

    def _sns(self) -> SNSClient:
        client: SNSClient = self._client()
        return client
