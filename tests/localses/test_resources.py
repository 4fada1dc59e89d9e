"""Amazon's own client against the running process, operation by operation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from tests.localses.conftest import TEMPLATE
from tests.localses.running import Running

SNS_TARGET = {"SnsDestination": {"TopicArn": "arn:aws:sns:us-east-1:000000000000:nowhere"}}


@pytest.fixture
def ses(running: Running) -> Any:
    return running.client("sesv2")


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_get_account_tells_quota_rate_and_state(ses: Any) -> None:
    account = ses.get_account()

    assert account["SendQuota"] == {"Max24HourSend": 1000000.0, "MaxSendRate": 500.0, "SentLast24Hours": 0.0}
    assert (account["SendingEnabled"], account["EnforcementStatus"], account["ProductionAccessEnabled"]) == (
        True,
        "HEALTHY",
        True,
    )
    assert account["SuppressionAttributes"] == {"SuppressedReasons": ["BOUNCE", "COMPLAINT"]}


def test_account_suppression_attributes_are_kept(ses: Any) -> None:
    ses.put_account_suppression_attributes(SuppressedReasons=["COMPLAINT"])

    assert ses.get_account()["SuppressionAttributes"] == {"SuppressedReasons": ["COMPLAINT"]}
    ses.put_account_suppression_attributes(SuppressedReasons=["BOUNCE", "COMPLAINT"])


def test_the_suppression_list_is_put_read_listed_and_deleted(ses: Any, name: str) -> None:
    bounced, complained = f"{name}+b@example.org", f"{name}-c@example.org"
    ses.put_suppressed_destination(EmailAddress=bounced.upper(), Reason="BOUNCE")
    ses.put_suppressed_destination(EmailAddress=complained, Reason="COMPLAINT")

    found = ses.get_suppressed_destination(EmailAddress=bounced)["SuppressedDestination"]
    assert (found["EmailAddress"], found["Reason"]) == (bounced, "BOUNCE")
    assert abs(found["LastUpdateTime"] - datetime.now(UTC)) < timedelta(minutes=1)
    listed = ses.list_suppressed_destinations(Reasons=["COMPLAINT"], StartDate=datetime(2020, 1, 1, tzinfo=UTC))
    assert complained in [item["EmailAddress"] for item in listed["SuppressedDestinationSummaries"]]
    assert bounced not in [item["EmailAddress"] for item in listed["SuppressedDestinationSummaries"]]
    ended = ses.list_suppressed_destinations(EndDate=datetime(2020, 1, 1, tzinfo=UTC))
    assert ended["SuppressedDestinationSummaries"] == []

    ses.delete_suppressed_destination(EmailAddress=bounced)
    for operation in (ses.get_suppressed_destination, ses.delete_suppressed_destination):
        with pytest.raises(ses.exceptions.NotFoundException):
            operation(EmailAddress=bounced)


def test_listings_come_in_pages(ses: Any, name: str) -> None:
    for number in range(5):
        ses.create_configuration_set(ConfigurationSetName=f"{name}-{number}")

    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = ses.list_configuration_sets(PageSize=2, **token)
        assert len(page["ConfigurationSets"]) <= 2
        found += page["ConfigurationSets"]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}

    assert [item for item in found if item.startswith(f"{name}-")] == [f"{name}-{number}" for number in range(5)]
    with pytest.raises(ClientError) as error:
        ses.list_suppressed_destinations(NextToken="garbage")
    assert code_of(error) == "InvalidNextTokenException"


def test_identities_are_verified_as_soon_as_they_exist(ses: Any, name: str) -> None:
    domain = f"{name}.example"
    with pytest.raises(ses.exceptions.MessageRejected, match="not verified"):
        send(ses, f"a@{domain}")

    created = ses.create_email_identity(EmailIdentity=domain)
    send(ses, f"a@{domain}")

    assert (created["IdentityType"], created["VerifiedForSendingStatus"]) == ("DOMAIN", True)
    assert ses.get_email_identity(EmailIdentity=domain)["VerificationStatus"] == "SUCCESS"
    listed = {item["IdentityName"]: item for item in ses.list_email_identities()["EmailIdentities"]}
    assert listed[domain]["SendingEnabled"] is True
    with pytest.raises(ses.exceptions.AlreadyExistsException):
        ses.create_email_identity(EmailIdentity=domain.upper())
    ses.delete_email_identity(EmailIdentity=domain)
    for operation in (ses.get_email_identity, ses.delete_email_identity):
        with pytest.raises(ses.exceptions.NotFoundException):
            operation(EmailIdentity=domain)
    with pytest.raises(ses.exceptions.MessageRejected):
        send(ses, f"a@{domain}")


def test_an_address_identity_covers_itself_only(ses: Any, name: str) -> None:
    address = f"a@{name}.example"
    created = ses.create_email_identity(EmailIdentity=address, ConfigurationSetName="later")

    send(ses, f"A Name <{address}>")
    assert created["IdentityType"] == "EMAIL_ADDRESS"
    assert ses.get_email_identity(EmailIdentity=address)["ConfigurationSetName"] == "later"
    with pytest.raises(ses.exceptions.MessageRejected):
        send(ses, f"b@{name}.example")


@pytest.mark.parametrize("wrong", ["two words", "a@", "-x-.example"])
def test_an_identity_that_is_neither_address_nor_domain_is_refused(ses: Any, wrong: str) -> None:
    with pytest.raises(ses.exceptions.BadRequestException):
        ses.create_email_identity(EmailIdentity=wrong)


def send(ses: Any, sender: str) -> None:
    ses.send_email(
        FromEmailAddress=sender,
        Destination={"ToAddresses": ["x@example.org"]},
        Content={"Simple": {"Subject": {"Data": "x"}, "Body": {"Text": {"Data": "x"}}}},
    )


def test_configuration_sets_keep_what_they_are_given(ses: Any, name: str) -> None:
    ses.create_configuration_set(ConfigurationSetName=name, SendingOptions={"SendingEnabled": True})

    found = ses.get_configuration_set(ConfigurationSetName=name)
    assert (found["ConfigurationSetName"], found["SendingOptions"]) == (name, {"SendingEnabled": True})
    with pytest.raises(ses.exceptions.AlreadyExistsException):
        ses.create_configuration_set(ConfigurationSetName=name)
    ses.delete_configuration_set(ConfigurationSetName=name)
    for operation in (ses.get_configuration_set, ses.delete_configuration_set):
        with pytest.raises(ses.exceptions.NotFoundException):
            operation(ConfigurationSetName=name)
    with pytest.raises(ses.exceptions.BadRequestException):
        ses.create_configuration_set(ConfigurationSetName="has space")


def test_event_destinations_are_made_changed_and_deleted(ses: Any, running: Running, name: str) -> None:
    arn = running.client("sns").create_topic(Name=name)["TopicArn"]
    place = {"ConfigurationSetName": name, "EventDestinationName": "sns"}
    target = {"SnsDestination": {"TopicArn": arn}}
    ses.create_configuration_set(ConfigurationSetName=name)

    ses.create_configuration_set_event_destination(**place, EventDestination={"MatchingEventTypes": ["SEND"], **target})
    with pytest.raises(ses.exceptions.AlreadyExistsException):
        ses.create_configuration_set_event_destination(
            **place, EventDestination={"MatchingEventTypes": ["SEND"], **target}
        )
    ses.update_configuration_set_event_destination(
        **place, EventDestination={"Enabled": False, "MatchingEventTypes": ["BOUNCE", "COMPLAINT"], **target}
    )

    found = ses.get_configuration_set_event_destinations(ConfigurationSetName=name)["EventDestinations"]
    assert found == [{"Name": "sns", "Enabled": False, "MatchingEventTypes": ["BOUNCE", "COMPLAINT"], **target}]
    ses.delete_configuration_set_event_destination(**place)
    assert ses.get_configuration_set_event_destinations(ConfigurationSetName=name)["EventDestinations"] == []
    with pytest.raises(ses.exceptions.NotFoundException):
        ses.delete_configuration_set_event_destination(**place)
    with pytest.raises(ses.exceptions.NotFoundException):
        ses.update_configuration_set_event_destination(**place, EventDestination={"MatchingEventTypes": ["SEND"]})


@pytest.mark.parametrize(
    "definition",
    [
        {"MatchingEventTypes": ["SEND"]},
        {"MatchingEventTypes": [], **SNS_TARGET},
        {"MatchingEventTypes": ["SEND"], **SNS_TARGET},
        {"MatchingEventTypes": ["SNEEZE"], **SNS_TARGET},
        {"MatchingEventTypes": ["SEND"], **SNS_TARGET, "EventBridgeDestination": {"EventBusArn": "arn:x"}},
    ],
    ids=["no target", "no types", "no topic", "unknown type", "two targets"],
)
def test_a_destination_that_cannot_work_is_refused(ses: Any, name: str, definition: dict[str, Any]) -> None:
    ses.create_configuration_set(ConfigurationSetName=name)

    with pytest.raises(ses.exceptions.BadRequestException):
        ses.create_configuration_set_event_destination(
            ConfigurationSetName=name, EventDestinationName="x", EventDestination=definition
        )
    with pytest.raises(ses.exceptions.BadRequestException):
        ses.create_configuration_set_event_destination(
            ConfigurationSetName=name, EventDestinationName="a b", EventDestination=definition
        )


def test_a_configuration_set_has_ten_destinations_and_takes_them_along(ses: Any, running: Running, name: str) -> None:
    target = {"SnsDestination": {"TopicArn": running.client("sns").create_topic(Name=name)["TopicArn"]}}
    definition = {"MatchingEventTypes": ["SEND"], **target}
    ses.create_configuration_set(ConfigurationSetName=name)
    for number in range(10):
        ses.create_configuration_set_event_destination(
            ConfigurationSetName=name, EventDestinationName=f"d{number}", EventDestination=definition
        )

    with pytest.raises(ses.exceptions.LimitExceededException):
        ses.create_configuration_set_event_destination(
            ConfigurationSetName=name, EventDestinationName="d10", EventDestination=definition
        )
    ses.delete_configuration_set(ConfigurationSetName=name)
    ses.create_configuration_set(ConfigurationSetName=name)
    assert ses.get_configuration_set_event_destinations(ConfigurationSetName=name)["EventDestinations"] == []


def test_stored_templates_are_made_rendered_changed_and_deleted(ses: Any, name: str) -> None:
    ses.create_email_template(TemplateName=name, TemplateContent=TEMPLATE)

    assert ses.get_email_template(TemplateName=name)["TemplateContent"] == TEMPLATE
    assert name in [item["TemplateName"] for item in ses.list_email_templates()["TemplatesMetadata"]]
    rendered = ses.test_render_email_template(TemplateName=name, TemplateData='{"name": "Ana"}')["RenderedTemplate"]
    assert "Subject: Hello Ana\r\n" in rendered
    assert "<p>Dear Ana</p>" in rendered
    with pytest.raises(
        ses.exceptions.BadRequestException, match="Attribute 'name' is not present in the rendering data"
    ):
        ses.test_render_email_template(TemplateName=name, TemplateData="{}")
    with pytest.raises(ses.exceptions.BadRequestException, match="not a JSON object"):
        ses.test_render_email_template(TemplateName=name, TemplateData="[")
    with pytest.raises(ses.exceptions.AlreadyExistsException):
        ses.create_email_template(TemplateName=name, TemplateContent=TEMPLATE)
    ses.update_email_template(TemplateName=name, TemplateContent={"Subject": "Other", "Text": "Words"})
    assert ses.get_email_template(TemplateName=name)["TemplateContent"] == {"Subject": "Other", "Text": "Words"}
    ses.delete_email_template(TemplateName=name)
    with pytest.raises(ses.exceptions.NotFoundException):
        ses.get_email_template(TemplateName=name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"Html": "x"}, "needs a subject"),
        ({"Subject": "x", "Html": "{{broken"}, "could not be parsed: Parse error on line 1"),
        ({"Subject": "x", "Html": "x" * 300_000, "Text": "x" * 300_000}, "500 KB"),
    ],
)
def test_a_template_that_could_not_be_sent_is_not_stored(
    ses: Any, name: str, content: dict[str, str], message: str
) -> None:
    with pytest.raises(ses.exceptions.BadRequestException, match=message):
        ses.create_email_template(TemplateName=name, TemplateContent=content)


def test_a_stored_template_is_sent_by_name_or_arn(ses: Any, running: Running, name: str) -> None:
    ses.create_email_template(TemplateName=name, TemplateContent=TEMPLATE)

    for reference in ({"TemplateName": name}, {"TemplateArn": f"arn:aws:ses:us-east-1:000000000000:template/{name}"}):
        ses.send_email(
            FromEmailAddress="news@example.com",
            Destination={"ToAddresses": ["ana@example.org"]},
            Content={"Template": {**reference, "TemplateData": '{"name": "Ana"}'}},
        )

    assert [record["subject"] for record in running.records()] == ["Hello Ana", "Hello Ana"]


def test_errors_have_the_form_of_the_service(running: Running) -> None:
    with pytest.raises(ClientError) as error:
        running.client("sesv2").get_email_identity(EmailIdentity="nobody.example")

    answer = error.value.response
    assert answer["Error"] == {
        "Code": "NotFoundException",
        "Message": "Email identity nobody.example does not exist.",
    }
    meta = answer["ResponseMetadata"]
    assert (meta["HTTPStatusCode"], meta["HTTPHeaders"]["x-amzn-errortype"]) == (404, "NotFoundException")
    assert len(meta["RequestId"]) == 32


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"aws_access_key_id": "somebody"}, "UnrecognizedClientException"),
        ({"aws_secret_access_key": "wrong"}, "InvalidSignatureException"),
    ],
)
def test_wrong_credentials_are_refused(running: Running, keys: dict[str, str], code: str) -> None:
    with pytest.raises(ClientError) as error:
        running.client("sesv2", **keys).get_account()

    assert (code_of(error), error.value.response["ResponseMetadata"]["HTTPStatusCode"]) == (code, 403)


def test_an_operation_that_is_not_there_says_so(ses: Any) -> None:
    with pytest.raises(ClientError, match="Local SES has no GET /v2/email/dedicated-ip-pools") as error:
        ses.list_dedicated_ip_pools()

    assert code_of(error) == "UnknownOperationException"


def test_a_domain_has_three_tokens_that_stay_the_same_and_an_address_none(ses: Any, name: str) -> None:
    domain = f"{name}.example"
    made = ses.create_email_identity(EmailIdentity=domain)["DkimAttributes"]

    found = ses.get_email_identity(EmailIdentity=domain)["DkimAttributes"]
    ses.delete_email_identity(EmailIdentity=domain)
    again = ses.create_email_identity(EmailIdentity=domain)["DkimAttributes"]

    assert made == found == again
    assert len(set(found["Tokens"])) == 3
    assert {len(token) for token in found["Tokens"]} == {32}
    assert (found["SigningHostedZone"], found["SigningAttributesOrigin"]) == ("dkim.amazonses.com", "AWS_SES")
    assert ses.create_email_identity(EmailIdentity=f"a@{domain}")["DkimAttributes"]["Tokens"] == []


def test_a_mail_from_domain_is_set_and_taken_away(ses: Any, name: str) -> None:
    domain = f"{name}.example"
    ses.create_email_identity(EmailIdentity=domain)
    assert "MailFromAttributes" not in ses.get_email_identity(EmailIdentity=domain)

    ses.put_email_identity_mail_from_attributes(EmailIdentity=domain, MailFromDomain=f"Bounce.{domain}")

    assert ses.get_email_identity(EmailIdentity=domain)["MailFromAttributes"] == {
        "MailFromDomain": f"bounce.{domain}",
        "MailFromDomainStatus": "SUCCESS",
        "BehaviorOnMxFailure": "USE_DEFAULT_VALUE",
    }
    for wrong in ("bounce.elsewhere.example", domain, f"-.{domain}"):
        with pytest.raises(ses.exceptions.BadRequestException):
            ses.put_email_identity_mail_from_attributes(EmailIdentity=domain, MailFromDomain=wrong)
    ses.put_email_identity_mail_from_attributes(EmailIdentity=domain)
    assert "MailFromAttributes" not in ses.get_email_identity(EmailIdentity=domain)
    with pytest.raises(ses.exceptions.NotFoundException):
        ses.put_email_identity_mail_from_attributes(EmailIdentity="nobody.example", MailFromDomain="b.nobody.example")


def test_an_account_may_be_in_the_sandbox(ses: Any, running: Running) -> None:
    running.settings(production_access=False)

    assert ses.get_account()["ProductionAccessEnabled"] is False


def test_keys_that_may_not_look_are_told_so_by_ses_and_by_sns(ses: Any, running: Running) -> None:
    running.faults(
        {"fault": "exception", "code": "AccessDeniedException", "operations": ["GetConfigurationSet", "CreateTopic"]},
        {"fault": "cut", "when": "before", "operations": ["ListTopics"], "times": 1},
    )

    with pytest.raises(ClientError) as by_ses:
        ses.get_configuration_set(ConfigurationSetName="x")
    with pytest.raises(ClientError) as by_sns:
        running.client("sns").create_topic(Name="x")
    with pytest.raises(ConnectionClosedError):
        running.client("sns").list_topics()

    assert (code_of(by_ses), code_of(by_sns)) == ("AccessDeniedException", "AuthorizationError")
    assert running.client("sns").list_topics()["Topics"] is not None
