"""How an account is set up, as SES and SNS tell it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from delivery.providers.ses import SesProvider
from delivery.providers.ses.account import DeniedError, NotFoundError
from delivery.providers.ses.inspection import ConfigurationSet, EventDestination, IdentityDetails, Standing
from delivery.providers.ses.sns import SnsTopics, Subscription
from tests.delivery.providers.ses.conftest import REGION
from tests.delivery.providers.ses.scripted_server import ScriptedServer, answer
from tests.delivery.providers.ses.test_administration import TOPIC, asked, form, sns_answer

Script = Callable[..., ScriptedServer]
ProviderFor = Callable[..., SesProvider]


def test_the_accounts_suppression_and_review_are_read(script: Script, provider_for: ProviderFor) -> None:
    full = {
        "SuppressionAttributes": {"SuppressedReasons": ["BOUNCE"]},
        "Details": {"ReviewDetails": {"Status": "PENDING", "CaseId": "7"}},
    }
    provider = provider_for(script(answer(200, full), answer(200, {})))

    assert provider.standing() == Standing(("BOUNCE",), "PENDING")
    assert provider.standing() == Standing((), "")


def test_a_configuration_sets_options_are_read(script: Script, provider_for: ProviderFor) -> None:
    full = {
        "ConfigurationSetName": "acme",
        "TrackingOptions": {"CustomRedirectDomain": "click.acme.test"},
        "SendingOptions": {"SendingEnabled": False},
        "SuppressionOptions": {"SuppressedReasons": []},
    }
    server = script(answer(200, full), answer(200, {"ConfigurationSetName": "acme"}))
    provider = provider_for(server)

    assert provider.configuration_set("acme") == ConfigurationSet(False, "click.acme.test", ())
    assert provider.configuration_set("acme") == ConfigurationSet(True, "", None)
    assert asked(server)[0] == ("GET", "/v2/email/configuration-sets/acme")


def test_event_destinations_are_read_with_what_they_lead_to(script: Script, provider_for: ProviderFor) -> None:
    rows = [
        {"Name": "a", "Enabled": True, "MatchingEventTypes": ["SEND"], "SnsDestination": {"TopicArn": TOPIC}},
        {
            "Name": "b",
            "Enabled": False,
            "MatchingEventTypes": ["BOUNCE"],
            "KinesisFirehoseDestination": {"DeliveryStreamArn": "arn:f", "IamRoleArn": "arn:r"},
        },
        {"Name": "c", "MatchingEventTypes": ["BOUNCE"], "CloudWatchDestination": {"DimensionConfigurations": [{}]}},
        {"Name": "d", "MatchingEventTypes": ["BOUNCE"]},
    ]
    provider = provider_for(script(answer(200, {"EventDestinations": rows}), answer(200, {})))

    assert provider.event_destinations("acme") == [
        EventDestination("a", True, ("SEND",), "sns", TOPIC),
        EventDestination("b", False, ("BOUNCE",), "firehose", "arn:f"),
        EventDestination("c", False, ("BOUNCE",), "cloudwatch", ""),
        EventDestination("d", False, ("BOUNCE",), "", ""),
    ]
    assert provider.event_destinations("acme") == []


def test_an_identity_is_read_whole_or_as_far_as_it_goes(script: Script, provider_for: ProviderFor) -> None:
    full = {
        "VerifiedForSendingStatus": True,
        "DkimAttributes": {
            "SigningEnabled": True,
            "Status": "SUCCESS",
            "Tokens": ["t1", "t2"],
            "SigningAttributesOrigin": "EXTERNAL",
            "SigningHostedZone": "dkim.amazonses.com.",
        },
        "MailFromAttributes": {
            "MailFromDomain": "bounce.acme.test",
            "MailFromDomainStatus": "PENDING",
            "BehaviorOnMxFailure": "REJECT_MESSAGE",
        },
        "VerificationInfo": {"ErrorType": "HOST_NOT_FOUND"},
    }
    provider = provider_for(script(answer(200, full), answer(200, {})))

    assert provider.identity_details("acme.test") == IdentityDetails(
        "acme.test", True, "SUCCESS", True, "EXTERNAL", ("t1", "t2"), "dkim.amazonses.com", "bounce.acme.test",
        "PENDING", "REJECT_MESSAGE", "HOST_NOT_FOUND",
    )  # fmt: skip
    assert provider.identity_details("acme.test") == IdentityDetails(
        "acme.test", False, "NOT_STARTED", False, "AWS_SES", (), "", "", "", "", ""
    )


def test_what_may_not_be_looked_at_is_not_what_is_not_there(script: Script, provider_for: ProviderFor) -> None:
    denied = answer(403, {"message": "No."}, "x-amzn-ErrorType: AccessDeniedException\r\n")
    missing = answer(404, {"message": "Gone."}, "x-amzn-ErrorType: NotFoundException\r\n")
    provider = provider_for(script(denied, missing))

    with pytest.raises(
        DeniedError, match=r"^AccessDeniedException: No\. Allow the keys ses:GetConfigurationSet\.$"
    ) as caught:
        provider.configuration_set("acme")
    with pytest.raises(NotFoundError):
        provider.configuration_set("acme")
    assert caught.value.action == "ses:GetConfigurationSet"


def test_a_mail_from_domain_is_put(script: Script, provider_for: ProviderFor) -> None:
    server = script(answer(200, {}))

    provider_for(server).put_mail_from("acme.test", "bounce.acme.test")

    assert asked(server) == [("PUT", "/v2/email/identities/acme.test/mail-from")]
    assert server.requests[0].document == {
        "MailFromDomain": "bounce.acme.test",
        "BehaviorOnMxFailure": "USE_DEFAULT_VALUE",
    }


def topics(server: ScriptedServer) -> SnsTopics:
    return SnsTopics(REGION, endpoint_url=server.url, access_key="A", secret_key="b")


def member(arn: str, protocol: str, endpoint: str) -> str:
    return (
        f"<member><SubscriptionArn>{arn}</SubscriptionArn><Protocol>{protocol}</Protocol>"
        f"<Endpoint>{endpoint}</Endpoint></member>"
    )


def test_subscriptions_are_listed_also_before_they_are_confirmed(script: Script) -> None:
    rows = member(f"{TOPIC}:1", "https", "https://a") + member("PendingConfirmation", "sqs", "arn:q")
    server = script(sns_answer("ListSubscriptionsByTopic", f"<Subscriptions>{rows}</Subscriptions>"))

    assert topics(server).subscriptions(TOPIC) == [
        Subscription(f"{TOPIC}:1", "https", "https://a"),
        Subscription("", "sqs", "arn:q"),
    ]


def attributes(**values: str) -> str:
    rows = "".join(f"<entry><key>{key}</key><value>{value}</value></entry>" for key, value in values.items())
    return f"<Attributes>{rows}</Attributes>"


def test_a_topic_and_a_subscription_are_read_and_changed(script: Script) -> None:
    server = script(
        sns_answer("GetTopicAttributes", attributes(SignatureVersion="2")),
        sns_answer("SetTopicAttributes"),
        sns_answer("GetSubscriptionAttributes", attributes(RawMessageDelivery="true")),
        sns_answer("GetSubscriptionAttributes", attributes()),
        sns_answer("SetSubscriptionAttributes"),
    )
    api = topics(server)

    assert api.topic_attributes(TOPIC) == {"SignatureVersion": "2"}
    api.set_policy(TOPIC, "{}")
    assert (api.is_raw("arn:s"), api.is_raw("arn:s")) == (True, False)
    api.deliver_with_envelope("arn:s")

    sent = {"TopicArn": TOPIC, "AttributeName": "Policy", "AttributeValue": "{}"}
    assert form(server, 1) == {"Action": "SetTopicAttributes", **sent}
    assert form(server, 4) == {
        "Action": "SetSubscriptionAttributes",
        "SubscriptionArn": "arn:s",
        "AttributeName": "RawMessageDelivery",
        "AttributeValue": "false",
    }


def test_sns_says_which_right_is_missing(script: Script) -> None:
    body = b"<ErrorResponse><Error><Code>AuthorizationError</Code><Message>no</Message></Error></ErrorResponse>"
    server = script(answer(403, None, "Content-Type: text/xml\r\n", body=body))

    with pytest.raises(DeniedError) as caught:
        topics(server).topic_attributes(TOPIC)

    assert caught.value.action == "sns:GetTopicAttributes"
