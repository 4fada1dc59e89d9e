"""Setting up and looking against a real Local SES and our own webhook: over the wire, confirmation included."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from delivery.models import SenderIdentity, SendingAccount, SendingDomain
from delivery.services.account_points import points_of
from delivery.services.inspecting import look_again
from delivery.services.providers import forget_providers, topics_for
from delivery.services.setting_up import plan_set_up, set_up_account
from organizations.models import AuditEntry
from tests.delivery.domains.nameserver import running as dns_running
from tests.factories import AccountFactory, OrganizationFactory
from tests.localses.running import Running, wait_until
from webhooks.inbound import receiving
from webhooks.inbound.topics import Topics

pytestmark = pytest.mark.processes


@pytest.fixture
def account(
    local_ses: Running, live_server: LiveServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SendingAccount]:
    settings.LOCALSES_URL = local_ses.url
    settings.LOCALSES_CERTIFICATE = local_ses.data / "certificate.pem"
    settings.PUBLIC_URL = live_server.url
    monkeypatch.setattr(receiving, "topics", Topics())
    organization = OrganizationFactory.create()
    made: SendingAccount = AccountFactory.create(
        organization=organization, is_local=True, region="us-east-1", configuration_set="", topic_arns=[]
    )
    SenderIdentity.objects.create(organization=organization, account=made, identity="hello@acme.test")
    yield made
    forget_providers()


def carry_out(account: SendingAccount) -> dict[str, tuple[str, str]]:
    reports = set_up_account(account=account, organization=account.organization, actor=None, with_domains=True)
    return {report.key: (report.state, report.action) for report in reports}


def wanting(account: SendingAccount) -> list[tuple[str, str]]:
    look_again(account=account, is_forced=True)
    domains = list(SendingDomain.objects.filter(account=account))
    points = points_of(account, list(account.identities.all()), None, domains)
    return [(point.tone, point.state) for point in points if point.tone != "ok"]


def test_an_empty_account_is_set_up_refused_halfway_and_finished(account: SendingAccount, local_ses: Running) -> None:
    assert wanting(account) == [("stop", "No sender is verified"), ("stop", "Events do not come back")]
    planned = plan_set_up(account=account, organization=account.organization, actor=None, with_domains=True)
    assert {report.state for report in planned} == {"create", "change"}
    assert local_ses.client("sesv2").list_configuration_sets()["ConfigurationSets"] == []

    local_ses.faults(
        {
            "fault": "exception",
            "code": "AccessDeniedException",
            "operations": ["CreateConfigurationSetEventDestination", "Subscribe"],
        }
    )
    halfway = carry_out(account)
    assert halfway["subscription"] == ("refused", "sns:Subscribe")
    assert halfway["destination"] == ("refused", "ses:CreateConfigurationSetEventDestination")
    assert halfway["topic"] == halfway["policy"] == ("done", "")

    local_ses.faults()
    finished = carry_out(account)
    assert {key for key, (state, _action) in finished.items() if state == "done"} == {"subscription", "destination"}
    [topic] = account.topic_arns
    wait_until(lambda: topics_for(account).list_subscriptions(topic))

    assert {state for state, _action in carry_out(account).values()} == {"there"}
    assert wanting(account) == []
    assert AuditEntry.objects.filter(action="account.set_up").count() == 3
    ses = local_ses.client("sesv2")
    assert (
        ses.get_email_identity(EmailIdentity="acme.test")["MailFromAttributes"]["MailFromDomain"] == "bounce.acme.test"
    )
    [destination] = ses.get_configuration_set_event_destinations(ConfigurationSetName=account.configuration_set)[
        "EventDestinations"
    ]
    assert destination["SnsDestination"] == {"TopicArn": topic}


def test_two_who_press_at_once_make_everything_once(account: SendingAccount, local_ses: Running) -> None:
    def press() -> dict[str, tuple[str, str]]:
        try:
            return carry_out(SendingAccount.objects.get(pk=account.pk))
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        outcomes = [future.result() for future in [pool.submit(press) for _ in range(2)]]

    assert {state for outcome in outcomes for state, _action in outcome.values()} <= {"done", "there"}
    account.refresh_from_db()
    [topic] = account.topic_arns
    wait_until(lambda: topics_for(account).list_subscriptions(topic))
    assert len(topics_for(account).subscriptions(topic)) == 1
    ses = local_ses.client("sesv2")
    found = ses.get_configuration_set_event_destinations(ConfigurationSetName=account.configuration_set)
    assert len(found["EventDestinations"]) == 1
    assert {state for state, _action in carry_out(account).values()} == {"there"}


def test_what_is_taken_away_is_noticed_and_what_may_not_be_seen_is_not_missed(
    account: SendingAccount, local_ses: Running
) -> None:
    carry_out(account)
    [topic] = account.topic_arns
    wait_until(lambda: topics_for(account).list_subscriptions(topic))
    ses = local_ses.client("sesv2")

    local_ses.faults(
        {
            "fault": "exception",
            "code": "AccessDeniedException",
            "operations": ["GetConfigurationSet", "GetTopicAttributes"],
        }
    )
    assert wanting(account) == [("note", "The keys may not look"), ("note", "The keys may not look")]
    local_ses.faults()
    ses.delete_configuration_set(ConfigurationSetName=account.configuration_set)
    assert wanting(account) == [("stop", f"Amazon has no “{account.configuration_set}”")]


def test_the_tokens_of_local_ses_are_looked_up_at_a_server_of_this_machine(
    account: SendingAccount, local_ses: Running, settings: Settings
) -> None:
    carry_out(account)
    tokens = local_ses.client("sesv2").get_email_identity(EmailIdentity="acme.test")["DkimAttributes"]["Tokens"]
    with dns_running() as server:
        settings.DNS_RESOLVERS = [server.address]
        for token in tokens:
            server.put(f"{token}._domainkey.acme.test", "CNAME", f"{token}.dkim.amazonses.com.")
        server.put("bounce.acme.test", "MX", "10 feedback-smtp.us-east-1.amazonses.com.")
        server.put("bounce.acme.test", "TXT", "v=spf1 include:amazonses.com ~all")
        server.put("amazonses.com", "TXT", "v=spf1 ip4:192.0.2.0/24 -all")
        assert ("note", "1 thing to mend for acme.test") in wanting(account)

        server.put("_dmarc.acme.test", "TXT", "v=DMARC1; p=reject")
        look_again(account=account, is_forced=True)

    domain = SendingDomain.objects.get()
    assert domain.identity["details"]["dkim_tokens"] == tokens
    points = points_of(account, [], None, [domain])
    assert "All records of acme.test are in place" in [point.state for point in points]
