"""Setting an account up: the plan, doing it, doing it again, and what is refused or fails on the way."""

from __future__ import annotations

import json

import pytest
from pytest_django import Settings

from amazonsender.core.errors import Forbidden, InvalidInput, NotFound
from delivery.models import AccountGrant, SenderIdentity, SendingAccount
from delivery.providers.base import PermanentError, TransientError
from delivery.providers.ses.policies import lets_ses_publish
from delivery.providers.ses.sns import Subscription
from delivery.services.accounts import EVENT_TYPES
from delivery.services.setting_up import StepReport, plan_set_up, policy_of, set_up_account
from organizations.models import AuditEntry, User
from tests.delivery.services.amazon import ACCOUNT, Amazon, identity
from tests.factories import AccountFactory, OrganizationFactory

QUEUE = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:events"
STREAM = f"arn:aws:firehose:eu-west-1:{ACCOUNT}:deliverystream/events"


@pytest.fixture
def account(at_amazon: SendingAccount, settings: Settings) -> SendingAccount:
    settings.EVENT_QUEUE_URLS = []
    return at_amazon


def plan(account: SendingAccount, *, with_domains: bool = False) -> list[StepReport]:
    return plan_set_up(account=account, organization=account.organization, actor=None, with_domains=with_domains)


def carry_out(account: SendingAccount, *, with_domains: bool = False) -> list[StepReport]:
    return set_up_account(account=account, organization=account.organization, actor=None, with_domains=with_domains)


def states(reports: list[StepReport]) -> dict[str, str]:
    return {report.key: report.state for report in reports}


def names(account: SendingAccount) -> tuple[str, str]:
    ours = f"amazonsender-{account.organization_id}"
    return ours, f"arn:aws:sns:eu-west-1:{ACCOUNT}:{ours}"


STEPS = ("set", "topic", "policy", "believe", "subscription", "destination")


def test_the_plan_says_what_would_be_made_and_makes_nothing(
    account: SendingAccount, service: Amazon, public: str
) -> None:
    reports = plan(account)

    assert states(reports) == {
        "set": "create",
        "topic": "create",
        "policy": "create",
        "believe": "change",
        "subscription": "create",
        "destination": "create",
    }
    ours, _topic = names(account)
    assert [report.detail for report in reports] == [ours, ours, "ses.amazonaws.com", "", public, ours]
    assert all(report.title for report in reports)
    assert service.changes == []
    assert not AuditEntry.objects.exists()


def test_all_of_it_is_made_once(account: SendingAccount, service: Amazon, public: str) -> None:
    ours, topic = names(account)

    first = carry_out(account)

    assert states(first) == dict.fromkeys(STEPS, "done")
    assert service.changes == [
        "ses:CreateConfigurationSet",
        "sns:CreateTopic",
        "sns:SetTopicAttributes",
        "sns:Subscribe",
        "ses:CreateConfigurationSetEventDestination",
    ]
    account.refresh_from_db()
    assert (account.configuration_set, account.topic_arns) == (ours, [topic])
    assert lets_ses_publish(service.topics[topic]["Policy"], topic)
    assert service.subscribed[topic] == [Subscription(f"{topic}:0", "https", public)]
    assert service.destinations[ours]["amazonsender"].event_types == EVENT_TYPES
    assert account.inspection["set"]["state"] == "known"
    entry = AuditEntry.objects.get(action="account.set_up")
    assert (entry.object_id, entry.detail) == (str(account.pk), {"done": list(STEPS), "refused": []})

    service.changes.clear()
    assert states(plan(account)) == states(carry_out(account)) == dict.fromkeys(STEPS, "there")
    assert service.changes == []


def test_what_the_keys_may_not_do_is_named_and_what_needs_it_waits(account: SendingAccount, service: Amazon) -> None:
    service.denied = {"sns:CreateTopic"}

    reports = {report.key: report for report in carry_out(account)}

    assert {key: report.state for key, report in reports.items()} == {
        "set": "done",
        "topic": "refused",
        "policy": "skipped",
        "believe": "skipped",
        "subscription": "skipped",
        "destination": "skipped",
    }
    assert reports["topic"].action == "sns:CreateTopic"
    assert reports["policy"].reason == "It needs: SNS topic that signs with SHA-256."
    assert AuditEntry.objects.get().detail["done"] == ["set"]
    account.refresh_from_db()
    assert account.topic_arns == []

    service.denied = set()
    assert states(carry_out(account)) == dict.fromkeys(STEPS, "done") | {"set": "there"}


def test_a_failure_on_the_way_leaves_something_that_can_be_pressed_again(
    account: SendingAccount, service: Amazon
) -> None:
    service.failures = {"sns:Subscribe": TransientError("SNS cannot be reached: timed out")}

    once = {report.key: report for report in carry_out(account)}
    twice = carry_out(account)

    assert (once["subscription"].state, once["subscription"].reason) == ("failed", "SNS cannot be reached: timed out")
    assert once["destination"].state == "done"
    assert states(twice) == dict.fromkeys(STEPS, "there") | {"subscription": "done"}


def test_who_may_not_look_may_still_do(account: SendingAccount, service: Amazon) -> None:
    service.denied = {"ses:GetConfigurationSet", "sns:GetSubscriptionAttributes"}

    looked = {report.key: report for report in plan(account)}
    assert (looked["set"].state, looked["set"].action) == ("unknown", "ses:GetConfigurationSet")

    assert states(carry_out(account)) == dict.fromkeys(STEPS, "done")
    assert states(carry_out(account)) == dict.fromkeys(STEPS, "there") | {"set": "done"}


def test_where_amazon_does_not_answer_nothing_is_tried_blindly(account: SendingAccount, service: Amazon) -> None:
    service.failures = {"ses:GetConfigurationSet": TransientError("no answer")}
    [report, *_rest] = plan(account)
    assert (report.state, report.reason) == ("unknown", "no answer")

    service.failures = {"ses:GetConfigurationSet": TransientError("no answer")}
    reports = states(carry_out(account))

    assert (reports["set"], reports["topic"], reports["destination"]) == ("failed", "done", "skipped")
    assert "ses:CreateConfigurationSet" not in service.changes


def test_what_is_there_is_brought_in_line(account: SendingAccount, service: Amazon, public: str) -> None:
    carry_out(account)
    ours, topic = names(account)
    service.topics[topic] = {"SignatureVersion": "1", "Policy": json.dumps({"Statement": [{"Sid": "theirs"}]})}
    service.raw = {f"{topic}:0"}
    kept = service.destinations[ours]["amazonsender"]
    service.destinations[ours]["amazonsender"] = kept._replace(event_types=("SEND",))
    wanted = {"topic": "change", "policy": "change", "subscription": "change", "destination": "change"}

    assert states(plan(account)) == dict.fromkeys(STEPS, "there") | wanted
    assert states(carry_out(account)) == dict.fromkeys(STEPS, "there") | dict.fromkeys(wanted, "done")

    assert service.raw == set()
    assert [row["Sid"] for row in json.loads(service.topics[topic]["Policy"])["Statement"]] == [
        "theirs",
        "AmazonSenderLetsSesPublish",
    ]
    assert states(plan(account)) == dict.fromkeys(STEPS, "there")


def test_a_subscription_that_nobody_confirmed_is_asked_for_again(account: SendingAccount, service: Amazon) -> None:
    service.confirms = False
    carry_out(account)
    assert states(plan(account))["subscription"] == "change"

    service.confirms = True
    assert states(carry_out(account))["subscription"] == "done"

    assert states(plan(account))["subscription"] == "there"


def test_a_topic_that_was_deleted_is_made_anew(account: SendingAccount, service: Amazon) -> None:
    carry_out(account)
    service.topics.clear()
    service.subscribed.clear()
    service.sets.clear()
    service.destinations.clear()

    assert states(plan(account)) == dict.fromkeys(STEPS, "create") | {"believe": "there"}
    assert states(carry_out(account)) == dict.fromkeys(STEPS, "done") | {"believe": "there"}


def test_names_that_the_account_has_already_are_kept(account: SendingAccount, service: Amazon) -> None:
    topic = service.create_topic("theirs")
    other_region = topic.replace("eu-west-1", "us-east-1")
    account.configuration_set, account.topic_arns = "theirs", [other_region, topic]
    account.save()

    carry_out(account)

    account.refresh_from_db()
    assert (account.configuration_set, account.topic_arns) == ("theirs", [other_region, topic])
    assert set(service.sets) == {"theirs"}
    assert set(service.topics) == {topic}


def test_a_server_that_amazon_cannot_reach_is_not_subscribed(
    account: SendingAccount, service: Amazon, settings: Settings
) -> None:
    settings.PUBLIC_URL = "http://localhost:8000"

    reports = {report.key: report for report in carry_out(account)}

    assert reports["subscription"].state == "blocked"
    assert "PUBLIC_URL" in reports["subscription"].reason
    assert reports["destination"].state == "done"
    assert "sns:Subscribe" not in service.changes


def test_where_a_queue_is_read_the_topic_fills_it(account: SendingAccount, service: Amazon, settings: Settings) -> None:
    settings.PUBLIC_URL = "http://localhost:8000"
    settings.EVENT_QUEUE_URLS = [
        f"https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/events",
        f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/events",
    ]

    assert states(carry_out(account)) == dict.fromkeys(STEPS, "done")

    _ours, topic = names(account)
    [subscription] = service.subscribed[topic]
    assert (subscription.protocol, subscription.endpoint) == ("sqs", QUEUE)
    service.raw = {subscription.arn}
    assert states(plan(account))["subscription"] == "change"
    SendingAccount.objects.update(topic_arns=[topic, QUEUE])
    account.refresh_from_db()
    assert states(plan(account))["subscription"] == "there"


def test_with_a_firehose_stream_there_is_nothing_to_subscribe(account: SendingAccount, service: Amazon) -> None:
    account.topic_arns = [STREAM]
    account.save()

    reports = {report.key: report for report in carry_out(account)}
    assert {key: report.state for key, report in reports.items()} == {"set": "done", "destination": "blocked"}
    assert "docs/ses.md" in reports["destination"].reason

    [ours] = service.sets
    service.create_event_destination(ours, STREAM, EVENT_TYPES)
    kept = service.destinations[ours]["amazonsender"]
    service.destinations[ours]["amazonsender"] = kept._replace(kind="firehose")
    assert states(plan(account)) == {"set": "there", "destination": "there"}


def test_domains_and_mail_from_where_they_are_asked_for(account: SendingAccount, service: Amazon) -> None:
    guest = OrganizationFactory.create()
    for name in ("hello@acme.io", "news.acme.io", "set.io", "reserved.example"):
        SenderIdentity.objects.create(account=account, organization=account.organization, identity=name)
    SenderIdentity.objects.create(account=account, organization=guest, identity="guest.io")
    service.identities["set.io"] = identity("set.io", mail_from_domain="mail.set.io")
    service.denied = {"ses:PutEmailIdentityMailFromAttributes"}

    planned = states(plan(account, with_domains=True))
    done = {report.key: report for report in carry_out(account, with_domains=True)}

    domains = {key: state for key, state in planned.items() if ":" in key}
    assert domains == {
        "domain:acme.io": "create",
        "mail_from:acme.io": "create",
        "domain:set.io": "there",
        "mail_from:set.io": "there",
    }
    assert done["mail_from:acme.io"].state == "refused"
    assert done["mail_from:acme.io"].detail == "bounce.acme.io"
    service.denied = set()
    assert states(carry_out(account, with_domains=True))["mail_from:acme.io"] == "done"
    assert service.identities["acme.io"].mail_from_domain == "bounce.acme.io"
    assert service.identities["set.io"].mail_from_domain == "mail.set.io"
    assert "guest.io" not in service.identities


def test_only_the_owner_of_an_account_sets_it_up(account: SendingAccount, service: Amazon) -> None:
    guest = OrganizationFactory.create()

    with pytest.raises(NotFound):
        plan_set_up(account=account, organization=guest, actor=None)
    AccountGrant.objects.create(account=account, organization=guest)
    for act in (plan_set_up, set_up_account):
        with pytest.raises(Forbidden, match="its owner sets it up"):
            act(account=account, organization=guest, actor=None)
    assert service.changes == []
    assert not AuditEntry.objects.exists()


def test_of_several_organizations_an_operator_does_it(account: SendingAccount, service: Amazon) -> None:
    OrganizationFactory.create()
    owner = User.objects.create(email="alice@acme.example")

    with pytest.raises(Forbidden):
        set_up_account(account=account, organization=account.organization, actor=owner)
    assert service.changes == []

    owner.is_superuser = True
    set_up_account(account=account, organization=account.organization, actor=owner)
    assert AuditEntry.objects.get().actor == owner


def test_other_providers_have_nothing_to_set_up(db: None) -> None:
    other = AccountFactory.create(provider="smtp", is_local=False)

    with pytest.raises(InvalidInput, match="no Amazon SES account"):
        plan(other)


def test_an_account_that_cannot_be_asked_raises(account: SendingAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_account: SendingAccount) -> None:
        raise PermanentError("No AWS credentials found")

    monkeypatch.setattr("delivery.services.setting_up.administration_for", refuse)

    with pytest.raises(PermanentError):
        plan(account)


def test_the_policy_names_what_the_account_uses(account: SendingAccount) -> None:
    ours, topic = names(account)
    empty = policy_of(account)
    assert f"arn:aws:sns:eu-west-1:{ACCOUNT}:{ours}" in json.dumps(empty)

    account.configuration_set, account.topic_arns = "theirs", [STREAM, topic.replace(ours, "theirs"), "odd"]
    SenderIdentity.objects.create(account=account, organization=account.organization, identity="acme.io")
    [send, *_rest] = policy_of(account)["Statement"]

    assert send["Resource"] == [
        f"arn:aws:ses:eu-west-1:{ACCOUNT}:identity/acme.io",
        f"arn:aws:ses:eu-west-1:{ACCOUNT}:configuration-set/theirs",
    ]
