"""Set-up and suppression list of SES, and SNS's topics: what is asked, and that everything may be asked twice."""

from __future__ import annotations

import datetime
import socket
from collections.abc import Callable
from urllib.parse import parse_qs

import pytest

from delivery.providers.base import (
    AmbiguousError,
    IdentityStatus,
    PermanentError,
    ProviderError,
    TransientError,
)
from delivery.providers.ses import SesProvider
from delivery.providers.ses.account import DeniedError
from delivery.providers.ses.administration import SuppressedDestination
from delivery.providers.ses.sns import SnsTopics
from tests.delivery.providers.ses.conftest import REGION
from tests.delivery.providers.ses.scripted_server import ScriptedServer, Step, answer, read_then_close

Script = Callable[..., ScriptedServer]
ProviderFor = Callable[..., SesProvider]

TOPIC = "arn:aws:sns:eu-central-1:123456789012:acme"
SUBSCRIPTION = f"{TOPIC}:7a1c"
EXISTS = answer(400, {"message": "It exists."}, "x-amzn-ErrorType: AlreadyExistsException\r\n")
MISSING = answer(404, {"message": "It does not."}, "x-amzn-ErrorType: NotFoundException\r\n")


def asked(server: ScriptedServer) -> list[tuple[str, str]]:
    return [(request.method, request.path) for request in server.requests]


def sns_answer(action: str, result: str = "") -> Step:
    body = f"<{action}Response><{action}Result>{result}</{action}Result></{action}Response>"
    return answer(200, None, "Content-Type: text/xml\r\n", body=body.encode())


def form(server: ScriptedServer, number: int) -> dict[str, str]:
    fields = {name: values[0] for name, values in parse_qs(server.requests[number].body.decode()).items()}
    assert fields.pop("Version") == "2010-03-31"
    return fields


@pytest.fixture
def topics_for() -> Callable[[ScriptedServer], SnsTopics]:
    return lambda server: SnsTopics(REGION, endpoint_url=server.url, access_key="A", secret_key="b")


@pytest.mark.parametrize("step", [answer(200, {}), EXISTS])
def test_a_configuration_set_is_made_once(script: Script, provider_for: ProviderFor, step: Step) -> None:
    server = script(step)

    provider_for(server).create_configuration_set("acme")

    assert asked(server) == [("POST", "/v2/email/configuration-sets")]
    assert server.requests[0].document == {"ConfigurationSetName": "acme"}


def test_events_are_published_to_a_topic(script: Script, provider_for: ProviderFor) -> None:
    server = script(answer(200, {}))

    provider_for(server).create_event_destination("acme", TOPIC, ["SEND", "BOUNCE"])

    assert asked(server) == [("POST", "/v2/email/configuration-sets/acme/event-destinations")]
    assert server.requests[0].document == {
        "EventDestinationName": "amazonsender",
        "EventDestination": {
            "Enabled": True,
            "MatchingEventTypes": ["SEND", "BOUNCE"],
            "SnsDestination": {"TopicArn": TOPIC},
        },
    }


def test_an_existing_event_destination_is_brought_in_line(script: Script, provider_for: ProviderFor) -> None:
    server = script(EXISTS, answer(200, {}))

    provider_for(server).create_event_destination("acme", TOPIC, ["SEND"], name="other")

    assert asked(server) == [
        ("POST", "/v2/email/configuration-sets/acme/event-destinations"),
        ("PUT", "/v2/email/configuration-sets/acme/event-destinations/other"),
    ]
    assert server.requests[1].document["EventDestination"]["MatchingEventTypes"] == ["SEND"]


@pytest.mark.parametrize("step", [answer(200, {}), EXISTS])
def test_an_identity_is_registered_once_and_its_state_told(
    script: Script, provider_for: ProviderFor, step: Step
) -> None:
    server = script(step, answer(200, {"VerifiedForSendingStatus": False, "DkimAttributes": {"Status": "PENDING"}}))

    status = provider_for(server).put_identity("acme.test")

    assert status == IdentityStatus("acme.test", verified=False, dkim_status="PENDING", mail_from_domain="", detail="")
    assert asked(server) == [("POST", "/v2/email/identities"), ("GET", "/v2/email/identities/acme.test")]


def test_the_suppression_list_is_walked_page_by_page(script: Script, provider_for: ProviderFor) -> None:
    def page(address: str, **more: str) -> Step:
        row = {"EmailAddress": address, "Reason": "BOUNCE", "LastUpdateTime": 1_790_000_000}
        return answer(200, {"SuppressedDestinationSummaries": [row], **more})

    server = script(page("a@example.com", NextToken="more"), page("b@example.com"))
    since = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)

    rows = list(provider_for(server).list_suppressed_destinations(since=since))

    assert rows == [
        SuppressedDestination(address, "BOUNCE", datetime.datetime.fromtimestamp(1_790_000_000, datetime.UTC))
        for address in ("a@example.com", "b@example.com")
    ]
    queries = [parse_qs(request.path.partition("?")[2]) for request in server.requests]
    assert queries == [
        {"StartDate": ["2026-11-01T00:00:00Z"], "PageSize": ["1000"]},
        {"StartDate": ["2026-11-01T00:00:00Z"], "PageSize": ["1000"], "NextToken": ["more"]},
    ]


def test_an_empty_suppression_list_has_no_rows(script: Script, provider_for: ProviderFor) -> None:
    assert list(provider_for(script(answer(200, {}))).list_suppressed_destinations()) == []


def test_an_address_is_put_on_the_suppression_list(script: Script, provider_for: ProviderFor) -> None:
    server = script(answer(200, {}))

    provider_for(server).put_suppressed_destination("a@example.com", "COMPLAINT")

    assert asked(server) == [("PUT", "/v2/email/suppression/addresses")]
    assert server.requests[0].document == {"EmailAddress": "a@example.com", "Reason": "COMPLAINT"}


@pytest.mark.parametrize("step", [answer(200, {}), MISSING])
def test_an_address_is_taken_off_the_suppression_list(script: Script, provider_for: ProviderFor, step: Step) -> None:
    server = script(step)

    provider_for(server).delete_suppressed_destination("a@example.com")

    assert asked(server) == [("DELETE", "/v2/email/suppression/addresses/a%40example.com")]


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (answer(429, {"message": "Slow"}, "x-amzn-ErrorType: TooManyRequestsException\r\n"), TransientError),
        (answer(403, {"message": "No"}, "x-amzn-ErrorType: AccessDeniedException\r\n"), DeniedError),
        (answer(500, {"message": "Oops"}), AmbiguousError),
        (read_then_close, AmbiguousError),
    ],
)
def test_a_failure_is_one_of_three_errors_and_not_tried_again(
    script: Script, provider_for: ProviderFor, step: Step, error: type[ProviderError]
) -> None:
    server = script(step, step)

    with pytest.raises(error) as caught:
        provider_for(server).create_configuration_set("acme")

    assert type(caught.value) is error
    assert len(server.requests) == 1


def test_an_unreachable_service_is_a_transient_error(provider_for: ProviderFor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(TransientError, match="SES cannot be reached: "):
        provider_for(f"http://127.0.0.1:{port}").create_configuration_set("acme")


def test_parameters_that_cannot_be_sent_are_a_permanent_error(provider_for: ProviderFor) -> None:
    with pytest.raises(PermanentError, match="Parameter validation failed"):
        provider_for("http://127.0.0.1:9").create_configuration_set(7)  # type: ignore[arg-type] # that is the test


def test_a_client_is_made_once(script: Script, provider_for: ProviderFor) -> None:
    server = script(answer(200, {}), answer(200, {}))
    provider = provider_for(server)

    provider.create_configuration_set("one")
    provider.create_configuration_set("two")

    assert server.connections == 1


def test_a_topic_signs_with_sha256(script: Script, topics_for: Callable[[ScriptedServer], SnsTopics]) -> None:
    server = script(sns_answer("CreateTopic", f"<TopicArn>{TOPIC}</TopicArn>"), sns_answer("SetTopicAttributes"))

    assert topics_for(server).create_topic("acme") == TOPIC
    assert form(server, 0) == {"Action": "CreateTopic", "Name": "acme"}
    assert form(server, 1) == {
        "Action": "SetTopicAttributes",
        "TopicArn": TOPIC,
        "AttributeName": "SignatureVersion",
        "AttributeValue": "2",
    }


def test_a_subscription_has_its_arn_before_it_is_confirmed(
    script: Script, topics_for: Callable[[ScriptedServer], SnsTopics]
) -> None:
    server = script(sns_answer("Subscribe", f"<SubscriptionArn>{SUBSCRIPTION}</SubscriptionArn>"))

    assert topics_for(server).subscribe(TOPIC, "https", "https://acme.test/webhooks/ses/x") == SUBSCRIPTION
    assert form(server, 0) == {
        "Action": "Subscribe",
        "TopicArn": TOPIC,
        "Protocol": "https",
        "Endpoint": "https://acme.test/webhooks/ses/x",
        "ReturnSubscriptionArn": "true",
    }


def test_a_confirmed_subscription_cannot_be_ended_by_a_stranger(
    script: Script, topics_for: Callable[[ScriptedServer], SnsTopics]
) -> None:
    server = script(sns_answer("ConfirmSubscription", f"<SubscriptionArn>{SUBSCRIPTION}</SubscriptionArn>"))

    assert topics_for(server).confirm_subscription(TOPIC, "token") == SUBSCRIPTION
    assert form(server, 0) == {
        "Action": "ConfirmSubscription",
        "TopicArn": TOPIC,
        "Token": "token",
        "AuthenticateOnUnsubscribe": "true",
    }


def test_confirmed_subscriptions_are_listed_to_the_last_page_and_ended(
    script: Script, topics_for: Callable[[ScriptedServer], SnsTopics]
) -> None:
    def page(arn: str, endpoint: str, after: str = "") -> Step:
        member = f"<member><SubscriptionArn>{arn}</SubscriptionArn><Endpoint>{endpoint}</Endpoint></member>"
        return sns_answer("ListSubscriptionsByTopic", f"<Subscriptions>{member}</Subscriptions>{after}")

    server = script(
        page(SUBSCRIPTION, "http://old", "<NextToken>more</NextToken>"),
        page("PendingConfirmation", "http://new"),
        sns_answer("Unsubscribe"),
    )
    topics = topics_for(server)

    assert topics.list_subscriptions(TOPIC) == {SUBSCRIPTION: "http://old"}
    topics.unsubscribe(SUBSCRIPTION)

    assert form(server, 1) == {"Action": "ListSubscriptionsByTopic", "TopicArn": TOPIC, "NextToken": "more"}
    assert form(server, 2) == {"Action": "Unsubscribe", "SubscriptionArn": SUBSCRIPTION}


def test_a_failed_confirmation_is_a_permanent_error(
    script: Script, topics_for: Callable[[ScriptedServer], SnsTopics]
) -> None:
    body = (
        b"<ErrorResponse><Error><Code>InvalidParameter</Code><Message>Invalid token</Message></Error></ErrorResponse>"
    )
    server = script(answer(400, None, "Content-Type: text/xml\r\n", body=body))

    with pytest.raises(PermanentError, match="InvalidParameter: Invalid token"):
        topics_for(server).confirm_subscription(TOPIC, "token")
