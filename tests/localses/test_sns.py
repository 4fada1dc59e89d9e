from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.localses.running import Running, Subscriber, wait_until


@pytest.fixture
def sns(running: Running) -> Any:
    return running.client("sns")


def code_of(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    answer = error.value.response
    return str(answer["Error"]["Code"]), int(answer["ResponseMetadata"]["HTTPStatusCode"])


def test_a_topic_is_created_once_and_keeps_its_attributes(sns: Any, name: str) -> None:
    arn = sns.create_topic(Name=name, Attributes={"SignatureVersion": "2"})["TopicArn"]
    again = sns.create_topic(Name=name)["TopicArn"]

    assert arn == again == f"arn:aws:sns:us-east-1:000000000000:{name}"
    assert arn in [topic["TopicArn"] for topic in sns.list_topics()["Topics"]]
    attributes = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
    assert (attributes["TopicArn"], attributes["SignatureVersion"]) == (arn, "2")
    sns.set_topic_attributes(TopicArn=arn, AttributeName="SignatureVersion", AttributeValue="1")
    assert sns.get_topic_attributes(TopicArn=arn)["Attributes"]["SignatureVersion"] == "1"


def test_what_a_topic_cannot_have_is_refused(sns: Any, name: str) -> None:
    arn = sns.create_topic(Name=name)["TopicArn"]

    for wrong in ({"AttributeName": "SignatureVersion", "AttributeValue": "3"}, {"AttributeName": "Colour"}):
        with pytest.raises(ClientError) as error:
            sns.set_topic_attributes(TopicArn=arn, **wrong)
        assert code_of(error) == ("InvalidParameter", 400)
    with pytest.raises(ClientError) as error:
        sns.create_topic(Name="has space")
    assert code_of(error) == ("InvalidParameter", 400)
    for operation in (sns.get_topic_attributes, sns.list_subscriptions_by_topic):
        with pytest.raises(ClientError) as error:
            operation(TopicArn=f"{arn}-none")
        assert code_of(error) == ("NotFound", 404)


def test_a_subscription_counts_once_it_is_confirmed(sns: Any, name: str, listener: Subscriber) -> None:
    arn = sns.create_topic(Name=name)["TopicArn"]
    endpoint = f"{listener.url}/sns"

    pending = sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=endpoint)["SubscriptionArn"]
    sns.publish(TopicArn=arn, Message="too early")
    wait_until(listener.envelopes)
    counts = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
    [envelope] = listener.envelopes()
    confirmed = sns.confirm_subscription(TopicArn=arn, Token=envelope["Token"])["SubscriptionArn"]
    sns.publish(TopicArn=arn, Message="in time")
    wait_until(lambda: len(listener.envelopes()) == 2)

    assert pending == "pending confirmation"
    assert (counts["SubscriptionsPending"], counts["SubscriptionsConfirmed"]) == ("1", "0")
    assert envelope["Type"] == "SubscriptionConfirmation"
    assert confirmed.startswith(f"{arn}:")
    assert sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"] == [
        {
            "SubscriptionArn": confirmed,
            "Owner": "000000000000",
            "Protocol": "http",
            "Endpoint": endpoint,
            "TopicArn": arn,
        }
    ]
    assert listener.envelopes()[1]["Message"] == "in time"
    assert sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=endpoint)["SubscriptionArn"] == confirmed


def test_subscribing_again_before_confirming_asks_again(sns: Any, name: str, listener: Subscriber) -> None:
    arn = sns.create_topic(Name=name)["TopicArn"]
    endpoint = f"{listener.url}/sns"

    sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=endpoint)
    shown = sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=endpoint, ReturnSubscriptionArn=True)
    wait_until(lambda: len(listener.envelopes()) == 2)

    assert len({envelope["Token"] for envelope in listener.envelopes()}) == 1
    assert shown["SubscriptionArn"].startswith(f"{arn}:")
    listed = sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
    assert [item["SubscriptionArn"] for item in listed] == ["PendingConfirmation"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"Protocol": "email", "Endpoint": "a@example.org"},
        {"Protocol": "https", "Endpoint": "http://127.0.0.1:1/"},
        {"Protocol": "http", "Endpoint": "http:///path"},
        {"Protocol": "http", "Endpoint": "http://127.0.0.1:1/", "Attributes": {"RawMessageDelivery": "true"}},
    ],
)
def test_endpoints_that_cannot_be_posted_to_are_refused(sns: Any, name: str, wrong: dict[str, Any]) -> None:
    arn = sns.create_topic(Name=name)["TopicArn"]

    with pytest.raises(ClientError) as error:
        sns.subscribe(TopicArn=arn, **wrong)
    assert code_of(error) == ("InvalidParameter", 400)


def test_a_wrong_token_confirms_nothing(sns: Any, name: str, listener: Subscriber) -> None:
    arn = sns.create_topic(Name=name)["TopicArn"]
    sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=f"{listener.url}/sns")

    with pytest.raises(ClientError) as error:
        sns.confirm_subscription(TopicArn=arn, Token="f" * 128)

    assert code_of(error) == ("InvalidParameter", 400)
    assert sns.get_topic_attributes(TopicArn=arn)["Attributes"]["SubscriptionsConfirmed"] == "0"


def confirmed(sns: Any, name: str, listener: Subscriber, **options: str) -> tuple[str, str]:
    arn = sns.create_topic(Name=name)["TopicArn"]
    sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=f"{listener.url}/sns")
    wait_until(listener.envelopes)
    token = listener.envelopes()[0]["Token"]
    return arn, sns.confirm_subscription(TopicArn=arn, Token=token, **options)["SubscriptionArn"]


def test_the_links_in_messages_confirm_and_end_a_subscription(
    sns: Any, running: Running, name: str, listener: Subscriber
) -> None:
    arn = sns.create_topic(Name=name)["TopicArn"]
    sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=f"{listener.url}/sns")
    wait_until(listener.envelopes)

    assert httpx.get(listener.envelopes()[0]["SubscribeURL"]).status_code == 200
    sns.publish(TopicArn=arn, Message="hello")
    wait_until(lambda: len(listener.envelopes()) == 2)
    assert httpx.get(listener.envelopes()[1]["UnsubscribeURL"]).status_code == 200
    wait_until(lambda: len(listener.envelopes()) == 3)

    assert sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"] == []
    assert listener.envelopes()[2]["Type"] == "UnsubscribeConfirmation"


def test_an_authenticated_subscription_does_not_end_by_a_link(sns: Any, name: str, listener: Subscriber) -> None:
    arn, subscription = confirmed(sns, name, listener, AuthenticateOnUnsubscribe="true")
    sns.publish(TopicArn=arn, Message="hello")
    wait_until(lambda: len(listener.envelopes()) == 2)

    link = listener.envelopes()[1]["UnsubscribeURL"]
    refused = httpx.get(link)

    assert parse_qs(urlsplit(link).query)["SubscriptionArn"] == [subscription]
    assert (refused.status_code, "AuthorizationError" in refused.text) == (403, True)
    assert len(sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]) == 1
    sns.unsubscribe(SubscriptionArn=subscription)
    assert sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"] == []
    with pytest.raises(ClientError) as error:
        sns.unsubscribe(SubscriptionArn=subscription)
    assert code_of(error) == ("InvalidParameter", 400)


def test_calls_need_a_signature_and_known_actions(running: Running) -> None:
    unsigned = httpx.post(running.url, data={"Action": "ListTopics"})
    with pytest.raises(ClientError) as wrong_key:
        running.client("sns", aws_access_key_id="somebody").list_topics()
    with pytest.raises(ClientError) as wrong_secret:
        running.client("sns", aws_secret_access_key="wrong").list_topics()
    with pytest.raises(ClientError) as unknown:
        running.client("sns").list_platform_applications()

    assert (unsigned.status_code, "MissingAuthenticationToken" in unsigned.text) == (403, True)
    assert code_of(wrong_key) == ("InvalidClientTokenId", 403)
    assert code_of(wrong_secret) == ("SignatureDoesNotMatch", 403)
    assert code_of(unknown) == ("InvalidAction", 400)


def test_a_subscription_tells_its_attributes_and_keeps_its_envelope(sns: Any, name: str, listener: Subscriber) -> None:
    topic, arn = confirmed(sns, name, listener, AuthenticateOnUnsubscribe="true")

    told = sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]

    assert told == {
        "SubscriptionArn": arn,
        "TopicArn": topic,
        "Owner": "000000000000",
        "Protocol": "http",
        "Endpoint": f"{listener.url}/sns",
        "PendingConfirmation": "false",
        "ConfirmationWasAuthenticated": "true",
        "RawMessageDelivery": "false",
    }
    set_attribute = sns.set_subscription_attributes
    set_attribute(SubscriptionArn=arn, AttributeName="RawMessageDelivery", AttributeValue="false")
    for attribute, value in (("RawMessageDelivery", "true"), ("FilterPolicy", "{}")):
        with pytest.raises(ClientError) as error:
            set_attribute(SubscriptionArn=arn, AttributeName=attribute, AttributeValue=value)
        assert code_of(error) == ("InvalidParameter", 400)
    with pytest.raises(ClientError) as error:
        sns.get_subscription_attributes(SubscriptionArn=f"{topic}:nobody")
    assert code_of(error) == ("NotFound", 404)
