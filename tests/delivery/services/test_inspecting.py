"""Looking at an account: what is asked, what is kept, and what happens when nobody answers or may look."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pytest
import time_machine
from django.core.exceptions import ObjectDoesNotExist
from django.utils import timezone
from pytest_django import Settings

from amazonsender.core.errors import NotFound
from delivery.domains.lookup import Answer, Question, State
from delivery.models import SenderIdentity, SendingAccount, SendingDomain
from delivery.providers.base import PermanentError, TransientError
from delivery.providers.ses.inspection import ConfigurationSet, EventDestination, Standing
from delivery.providers.ses.sns import Subscription
from delivery.services import domains, inspecting
from delivery.services.accounts import add_sender, update_account
from delivery.services.domains import find_domain, is_due, make_resolver, may_look_up
from delivery.services.inspecting import Asker, inspect_account, is_stale, look_again, look_at_domain
from tests.delivery.domains.nameserver import NameServer, running
from tests.delivery.services.amazon import Amazon, identity
from tests.factories import AccountFactory

TOPIC = "arn:aws:sns:eu-west-1:123456789012:news"


@pytest.fixture
def nameserver(settings: Settings) -> Iterator[NameServer]:
    with running() as server:
        settings.DNS_RESOLVERS = [server.address]
        yield server


@pytest.fixture
def account(at_amazon: SendingAccount) -> SendingAccount:
    at_amazon.configuration_set = "news"
    at_amazon.topic_arns = ["arn:aws:sqs:eu-west-1:123456789012:events", TOPIC]
    at_amazon.save()
    return at_amazon


def sender(account: SendingAccount, name: str) -> SenderIdentity:
    return SenderIdentity.objects.create(account=account, organization=account.organization, identity=name)


def test_everything_is_asked_and_kept(account: SendingAccount, service: Amazon, nameserver: NameServer) -> None:
    sender(account, "hello@news.acme.test")
    sender(account, "news.acme.test")
    SendingDomain.objects.create(account=account, organization=account.organization, name="gone.test")
    service.account = Standing(("BOUNCE",), "PENDING")
    service.sets["news"] = ConfigurationSet(True, "click.acme.test", ())
    service.destinations["news"] = {"x": EventDestination("x", True, ("SEND",), "sns", TOPIC)}
    service.topics[TOPIC] = {"SignatureVersion": "2"}
    service.subscribed[TOPIC] = [
        Subscription("arn:s1", "https", "https://a"),
        Subscription("", "sqs", "arn:q"),
        Subscription("arn:s3", "email", "a@example.com"),
    ]
    service.raw = {"arn:s1"}
    service.identities["acme.test"] = identity("acme.test")
    nameserver.put("_dmarc.acme.test", "TXT", "v=DMARC1; p=none")

    assert look_again(account=account)

    account.refresh_from_db()
    assert account.max_send_rate == 14
    assert account.inspection == {
        "standing": {"state": "known", "suppressed": ["BOUNCE"], "review": "PENDING"},
        "set": {"state": "known", "sending_enabled": True, "redirect_domain": "click.acme.test", "suppressed": []},
        "destinations": {
            "state": "known",
            "rows": [{"name": "x", "enabled": True, "types": ["SEND"], "kind": "sns", "target": TOPIC}],
        },
        "topics": [
            {
                "arn": TOPIC,
                "attributes": {"state": "known", "signature": "2", "lets_ses_publish": False},
                "subscriptions": {
                    "state": "known",
                    "rows": [
                        {"confirmed": True, "protocol": "https", "endpoint": "https://a", "raw": True},
                        {"confirmed": False, "protocol": "sqs", "endpoint": "arn:q", "raw": None},
                    ],
                },
            }
        ],
    }
    domain = SendingDomain.objects.get()
    assert (domain.name, domain.organization) == ("news.acme.test", account.organization)
    assert domain.identity["details"]["name"] == "acme.test"
    assert ["_dmarc.acme.test", "TXT", "found", ["v=DMARC1; p=none"]] in domain.findings["answers"]
    assert ["click.acme.test", "CNAME", "nothing", []] in domain.findings["answers"]


def test_nobody_is_asked_twice_within_ten_seconds(account: SendingAccount, service: Amazon) -> None:
    now = timezone.now()
    with time_machine.travel(now, tick=False) as clock:
        assert look_again(account=account)
        assert not look_again(account=account)
        assert look_again(account=account, is_forced=True)
        clock.shift(datetime.timedelta(seconds=11))
        assert look_again(account=account)


def test_what_is_not_there_and_what_may_not_be_looked_at(account: SendingAccount, service: Amazon) -> None:
    sender(account, "acme.test")
    service.denied = {
        "sns:GetTopicAttributes",
        "ses:GetConfigurationSetEventDestinations",
        "sns:GetSubscriptionAttributes",
    }
    service.topics[TOPIC] = {}
    service.subscribed[TOPIC] = [Subscription("arn:s1", "https", "https://a")]

    inspect_account(account=account)

    assert account.inspection["set"] == {"state": "missing"}
    assert account.inspection["destinations"] == {
        "state": "denied",
        "action": "ses:GetConfigurationSetEventDestinations",
    }
    [topic] = account.inspection["topics"]
    assert topic["attributes"] == {"state": "denied", "action": "sns:GetTopicAttributes"}
    assert [row["raw"] for row in topic["subscriptions"]["rows"]] == [None]
    assert SendingDomain.objects.get().identity == {"state": "missing"}


def test_once_nobody_answers_the_rest_is_not_asked(account: SendingAccount, service: Amazon) -> None:
    service.failures = {"ses:GetAccount": TransientError("SES cannot be reached: timed out")}

    inspect_account(account=account)

    silent = {"state": "failed", "error": "SES cannot be reached: timed out"}
    assert account.inspection["standing"] == account.inspection["set"] == silent
    assert account.inspection["topics"][0]["subscriptions"] == silent


def test_a_refusal_does_not_keep_from_asking_on() -> None:
    asker = Asker()

    def refuse() -> dict[str, object]:
        raise PermanentError("no")

    assert asker.ask(refuse) == {"state": "failed", "error": "no"}
    assert asker.ask(lambda: {"a": 1}) == {"state": "known", "a": 1}


def test_a_check_ends_when_its_time_is_up() -> None:
    now = [0.0]
    asker = Asker(seconds=20, clock=lambda: now[0])
    assert asker.ask(dict)["state"] == "known"

    now[0] = 21

    assert asker.ask(dict) == {"state": "failed", "error": "The time for this check is up."}


def test_domains_that_time_did_not_suffice_for_come_first_the_next_time(
    account: SendingAccount, service: Amazon, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.example", "b.example", "c.example"):
        sender(account, name)
    looked: list[str] = []
    now = [0.0]
    real = domains.check_domain

    def slow(*, account: SendingAccount, name: str, asker: Asker) -> SendingDomain:
        looked.append(name)
        now[0] += 15
        return real(account=account, name=name, asker=asker)

    monkeypatch.setattr(inspecting, "check_domain", slow)
    monkeypatch.setattr(inspecting, "Asker", lambda: Asker(clock=lambda: now[0]))

    inspect_account(account=account)
    assert looked == ["a.example", "b.example"]
    inspect_account(account=account)

    assert looked[2] == "c.example"


def test_an_account_without_credentials_says_so(account: SendingAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_account: SendingAccount) -> None:
        raise PermanentError("No AWS credentials found")

    monkeypatch.setattr(inspecting, "administration_for", refuse)

    inspect_account(account=account)

    assert account.inspection == {"standing": {"state": "failed", "error": "No AWS credentials found"}}


def test_without_a_configuration_set_it_is_not_asked_about(at_amazon: SendingAccount, service: Amazon) -> None:
    inspect_account(account=at_amazon)

    assert set(at_amazon.inspection) == {"standing", "topics"}


def test_of_other_providers_only_the_connection_is_tried(
    db: None, service: Amazon, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = AccountFactory.create(provider="smtp", is_local=False)
    monkeypatch.setattr(inspecting, "check_account", lambda *, account: account)

    assert look_again(account=other)

    other.refresh_from_db()
    assert other.inspection == {}
    assert not is_stale(other)


def test_when_a_page_looks_by_itself(at_amazon: SendingAccount, settings: Settings) -> None:
    settings.LOCALSES_URL = ""
    assert is_stale(at_amazon)
    at_amazon.inspected_at = timezone.now() - datetime.timedelta(minutes=9)
    assert not is_stale(at_amazon)
    at_amazon.inspected_at -= datetime.timedelta(minutes=2)
    assert is_stale(at_amazon)
    at_amazon.is_local = True
    assert not is_stale(at_amazon)
    settings.LOCALSES_URL = "http://127.0.0.1:8025"
    assert is_stale(at_amazon)


def test_what_was_found_of_something_else_is_forgotten(account: SendingAccount, service: Amazon) -> None:
    sender(account, "acme.example")
    service.sets["news"] = ConfigurationSet(True, "", None)
    look_again(account=account)

    update_account(account=account, actor=None, changes={"name": "Another name"})
    account.refresh_from_db()
    assert account.inspection["set"]["state"] == "known"

    update_account(account=account, actor=None, changes={"configuration_set": "other"})
    account.refresh_from_db()
    assert (account.inspection, account.inspected_at) == ({}, None)
    assert SendingDomain.objects.exists()

    update_account(account=account, actor=None, changes={"region": "us-east-1"})
    assert not SendingDomain.objects.exists()


def test_a_new_sender_is_looked_at_when_the_page_is_opened_next(account: SendingAccount, service: Amazon) -> None:
    look_again(account=account)

    add_sender(account=account, organization=account.organization, actor=None, identity="acme.example")

    account.refresh_from_db()
    assert is_stale(account)


# ---- domains ---------------------------------------------------------------------------------------------------


class NoDns:
    """Whoever asks it has sent something off the machine."""

    def ask(self, question: Question) -> Answer:
        raise AssertionError(question)


@pytest.mark.parametrize(("name", "is_local"), [("acme.io", True), ("acme.example", False), ("acme.example", True)])
def test_of_local_ses_and_of_reserved_names_dns_hears_nothing(
    account: SendingAccount, service: Amazon, name: str, is_local: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(domains, "make_resolver", NoDns)
    account.is_local = is_local
    service.identities[name] = identity(name)

    domain = look_at_domain(account=account, name=name)

    assert not may_look_up(account, name)
    assert (domain.identity["state"], domain.findings) == ("known", {})
    assert domain.checked_at is not None


def test_servers_of_this_machine_are_asked_about_every_name(account: SendingAccount, settings: Settings) -> None:
    account.is_local = True
    settings.DNS_RESOLVERS = ["127.0.0.1:5353"]
    assert may_look_up(account, "acme.example")
    settings.DNS_RESOLVERS = ["192.0.2.53"]
    assert not may_look_up(account, "acme.io")
    account.is_local = False
    assert may_look_up(account, "acme.io")


def test_servers_that_are_none_leave_everything_unknown(settings: Settings, account: SendingAccount) -> None:
    settings.DNS_RESOLVERS = ["dns.acme.io"]

    assert make_resolver().ask(Question("acme.io", "TXT")) == Answer(State.FAILED)
    assert not may_look_up(account, "acme.example")


def test_a_domain_is_one_of_the_accounts_senders(account: SendingAccount) -> None:
    sender(account, "news@acme.io")

    assert find_domain(account=account, name="acme.io").pk is None
    with pytest.raises(NotFound):
        find_domain(account=account, name="other.io")
    assert not SendingDomain.objects.exists()


def test_a_domain_is_due_once_in_ten_seconds(account: SendingAccount, service: Amazon) -> None:
    sender(account, "acme.example")
    assert is_due(find_domain(account=account, name="acme.example"))

    domain = look_at_domain(account=account, name="acme.example")

    assert not is_due(domain)
    SendingDomain.objects.update(checked_at=timezone.now() - datetime.timedelta(seconds=11))
    assert is_due(domain)
    assert not is_due(domain)


def test_the_domain_itself_counts_before_those_above(account: SendingAccount, service: Amazon) -> None:
    service.identities = {name: identity(name) for name in ("news.acme.example", "acme.example")}

    domain = look_at_domain(account=account, name="news.acme.example")

    assert domain.identity["details"]["name"] == "news.acme.example"
    with pytest.raises(ObjectDoesNotExist):
        SendingDomain.objects.get(name="acme.example")
