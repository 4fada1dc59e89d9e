"""Sending accounts: what the provider says reaches the limiter."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from amazonsender.core.errors import Forbidden, InvalidInput
from delivery.engine.database import Connection
from delivery.models import AccountPace, ParkReason, SenderIdentity, SendingAccount
from delivery.providers.base import AccountStatus, IdentityStatus, PermanentError, TransientError
from delivery.services import accounts, providers
from delivery.services.accounts import (
    EVENT_TYPES,
    UNLIMITED_DAY,
    add_sender,
    check_account,
    create_account,
    durability_problem,
    is_sender_verified,
    refresh_sender,
    set_up_local_account,
    update_account,
)
from delivery.services.providers import administration_for, forget_providers, provider_for, topics_for
from organizations.models import AuditEntry, Organization, User
from tests.factories import AccountFactory, OrganizationFactory

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


@pytest.fixture
def amazon(monkeypatch: pytest.MonkeyPatch) -> FakeAmazon:
    made = FakeAmazon()
    for name in ("provider_for", "administration_for", "topics_for"):
        monkeypatch.setattr(accounts, name, lambda _account: made)
    return made


@pytest.fixture
def account(db: None) -> SendingAccount:
    return AccountFactory.create(is_local=False)


def pace_of(account: SendingAccount) -> AccountPace:
    return AccountPace.objects.get(account=account)


def test_a_new_account_starts_at_the_smallest_limits(db: None) -> None:
    account = create_account(organization=OrganizationFactory.create(), actor=None, name="SES")

    pace = pace_of(account)
    assert (pace.max_rate, pace.max_calls, pace.day_limit, pace.parked_reason) == (1, 1000, 200, "")
    assert account.topic_arns == []


def test_a_local_account_needs_local_ses(db: None, settings: Settings) -> None:
    settings.LOCALSES_URL = ""

    with pytest.raises(InvalidInput, match="set LOCALSES_URL"):
        create_account(organization=OrganizationFactory.create(), actor=None, name="Local", is_local=True)

    assert SendingAccount.objects.count() == 0


def test_a_check_takes_the_limits_over(account: SendingAccount, amazon: FakeAmazon) -> None:
    AccountPace.objects.update(day_used=40)

    check_account(account=account)

    pace = pace_of(account)
    # 100 were sent in 24 hours, 40 of them by us: 60 by others are not ours to send again
    assert (pace.max_rate, pace.max_calls, pace.day_limit) == (14, 1000, 50_000 - 60)
    account.refresh_from_db()
    assert (account.max_send_rate, account.max_24_hour_send, account.sent_last_24_hours) == (14, 50_000, 100)
    assert account.checked_at is not None


@pytest.mark.parametrize(
    ("own_limit", "status", "rate", "day"),
    [
        (5.0, HEALTHY, 5, 49_900),
        (500.0, HEALTHY, 14, 49_900),
        (None, AccountStatus(True, True, "HEALTHY", -1, 1000, 10**9), 1000, UNLIMITED_DAY),
        (None, AccountStatus(True, True, "HEALTHY", 200, 0, 0), 0.1, 200),
    ],
)
def test_limits_of_many_kinds(
    account: SendingAccount, amazon: FakeAmazon, own_limit: float | None, status: AccountStatus, rate: float, day: int
) -> None:
    account.rate_limit = own_limit
    amazon.status = status

    check_account(account=account)

    assert (pace_of(account).max_rate, pace_of(account).day_limit) == (rate, day)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (AccountStatus(False, True, "HEALTHY", 200, 1, 0), ParkReason.PAUSED),
        (AccountStatus(False, True, "SHUTDOWN", 200, 1, 0), ParkReason.SUSPENDED),
        (AccountStatus(True, True, "SHUTDOWN", 200, 1, 0), ParkReason.SUSPENDED),
        (AccountStatus(True, True, "PROBATION", 200, 1, 0), ParkReason.REVIEW),
    ],
)
def test_trouble_parks_the_account_until_it_is_healthy_again(
    account: SendingAccount, amazon: FakeAmazon, status: AccountStatus, reason: ParkReason
) -> None:
    amazon.status = status
    check_account(account=account)
    assert (pace_of(account).parked_reason, pace_of(account).parked_until) == (reason, None)

    amazon.status = HEALTHY
    check_account(account=account)

    assert pace_of(account).parked_reason == ""


@pytest.mark.parametrize(
    ("reason", "is_lifted"),
    [
        (ParkReason.PAUSED, True),
        (ParkReason.SUSPENDED, True),
        (ParkReason.REVIEW, True),
        (ParkReason.MISCONFIGURED, True),
        (ParkReason.OUTAGE, True),
        (ParkReason.HOME, False),
    ],
)
def test_a_healthy_answer_lifts_what_it_disproves(
    account: SendingAccount, amazon: FakeAmazon, reason: ParkReason, is_lifted: bool
) -> None:
    AccountPace.objects.update(parked_reason=reason, parked_until=None)

    check_account(account=account)

    assert (pace_of(account).parked_reason == "") is is_lifted


def test_an_account_away_from_home_stays_parked_for_that_whatever_else_is_wrong(
    account: SendingAccount, amazon: FakeAmazon
) -> None:
    AccountPace.objects.update(parked_reason=ParkReason.HOME)
    amazon.status = AccountStatus(False, True, "SHUTDOWN", 200, 1, 0)

    check_account(account=account)

    assert pace_of(account).parked_reason == ParkReason.HOME


@pytest.mark.parametrize(("used", "is_lifted"), [(100, True), (50_000, False)])
def test_a_park_for_quota_ends_when_the_day_has_room_again(
    account: SendingAccount, amazon: FakeAmazon, used: int, is_lifted: bool
) -> None:
    until = timezone.now() + timedelta(hours=1)
    AccountPace.objects.update(parked_reason=ParkReason.QUOTA, parked_until=until, day_used=used)

    check_account(account=account)

    assert (pace_of(account).parked_reason == "") is is_lifted


def test_an_unsafe_database_parks_real_accounts_and_says_so(account: SendingAccount, amazon: FakeAmazon) -> None:
    local = AccountFactory.create(organization=account.organization)

    for one in (account, local):
        check_account(account=one, durability_problem="fsync is off")

    account.refresh_from_db()
    assert pace_of(account).parked_reason == ParkReason.MISCONFIGURED
    assert account.check_error == "fsync is off"
    assert pace_of(local).parked_reason == ""


def test_a_failing_check_is_remembered_and_changes_nothing_else(account: SendingAccount, amazon: FakeAmazon) -> None:
    amazon.status = TransientError("the provider does not answer " + "x" * 600)

    check_account(account=account)

    account.refresh_from_db()
    assert account.check_error.startswith("the provider does not answer")
    assert len(account.check_error) == 500
    assert account.checked_at is not None
    assert pace_of(account).max_rate == 100_000

    amazon.status = HEALTHY
    check_account(account=account)
    assert SendingAccount.objects.get(pk=account.pk).check_error == ""


def test_a_check_asks_for_the_senders_too(account: SendingAccount, amazon: FakeAmazon) -> None:
    sender = SenderIdentity.objects.create(
        organization=account.organization, account=account, identity="news@example.com"
    )
    amazon.identities["news@example.com"] = True

    check_account(account=account)

    sender.refresh_from_db()
    assert (sender.is_verified, sender.dkim_status) == (True, "SUCCESS")
    assert sender.mail_from_domain == "bounce.news@example.com"


def test_a_sender_that_cannot_be_asked_for_stays_as_it_is(account: SendingAccount, amazon: FakeAmazon) -> None:
    sender = SenderIdentity.objects.create(
        organization=account.organization, account=account, identity="gone@example.com", is_verified=True
    )

    refresh_sender(sender)

    sender.refresh_from_db()
    assert (sender.is_verified, sender.checked_at) == (True, None)


def test_adding_a_sender_registers_it_at_local_ses_alone(account: SendingAccount, amazon: FakeAmazon) -> None:
    local = AccountFactory.create(organization=account.organization)

    added = add_sender(account=local, organization=account.organization, actor=None, identity="News@Example.com")
    again = add_sender(account=local, organization=account.organization, actor=None, identity="news@example.com")
    real = add_sender(account=account, organization=account.organization, actor=None, identity="shop.example")

    assert again.pk == added.pk
    assert set(amazon.identities) == {"News@Example.com", "news@example.com"}
    assert (added.identity, again.is_verified, real.is_verified) == ("news@example.com", True, False)


def test_a_sender_is_verified_by_its_address_or_domain_of_the_same_organization_and_account(
    account: SendingAccount, amazon: FakeAmazon
) -> None:
    organization = account.organization
    elsewhere = AccountFactory.create(organization=organization)
    SenderIdentity.objects.create(
        organization=organization, account=elsewhere, identity="example.com", is_verified=True
    )

    assert not is_sender_verified(account=account, organization=organization, address="news@example.com")
    assert amazon.asked == ["news@example.com"]

    amazon.identities["news@example.com"] = True
    assert is_sender_verified(account=account, organization=organization, address="NEWS@example.com")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("example.com", "news@example.com"),
        ("news@example.com", "news@example.com"),
        ("news@example.com", "example.com"),
        ("example.com", "example.com"),
    ],
)
def test_what_another_organization_had_verified_before_is_nobody_elses_sender(
    account: SendingAccount, amazon: FakeAmazon, theirs: str, ours: str
) -> None:
    """All organizations send with the installation's credentials, and Amazon only knows those."""
    amazon.identities |= {theirs: True, ours: True}
    mallory = OrganizationFactory.create()
    hers = AccountFactory.create(organization=mallory, is_local=False)
    first = add_sender(account=account, organization=account.organization, actor=None, identity=theirs)

    second = add_sender(account=hers, organization=mallory, actor=None, identity=ours)
    check_account(account=account)

    first.refresh_from_db()
    assert (first.is_verified, second.is_verified) == (True, False)
    address = ours if "@" in ours else f"any@{ours}"
    assert not is_sender_verified(account=hers, organization=mallory, address=address)


def test_of_several_organizations_none_deals_out_what_they_share(account: SendingAccount, amazon: FakeAmazon) -> None:
    organization, owner = account.organization, User.objects.create(email="owner@acme.example")
    assert create_account(organization=organization, actor=owner, name="Alone").pk
    OrganizationFactory.create()

    with pytest.raises(Forbidden):
        create_account(organization=organization, actor=owner, name="Second")
    for changes in ({"region": "eu-west-1"}, {"configuration_set": "x"}, {"name": "N", "topic_arns": ["arn"]}):
        with pytest.raises(Forbidden):
            update_account(account=account, actor=owner, changes=dict(changes))
    with pytest.raises(Forbidden):
        add_sender(account=account, organization=organization, actor=owner, identity="theirs.example")

    assert SendingAccount.objects.filter(name="Second").count() == SenderIdentity.objects.count() == 0
    assert AuditEntry.objects.count() == 0
    update_account(account=account, actor=owner, changes={"name": "Ours"})
    owner.is_superuser = True
    assert create_account(organization=organization, actor=owner, name="Second").pk
    assert not add_sender(account=account, organization=organization, actor=owner, identity="a.example").is_verified


def test_a_sender_that_is_only_written_down_is_nobodys_where_organizations_share_the_credentials(
    account: SendingAccount, amazon: FakeAmazon
) -> None:
    """Mallory's campaign names a domain that Amazon vouches for, before its owner was given it."""
    amazon.identities |= {"owner.example": True, "news@owner.example": True}
    mallory = OrganizationFactory.create()
    hers = AccountFactory.create(organization=mallory, is_local=False)

    assert not is_sender_verified(account=hers, organization=mallory, address="news@owner.example")

    assert (SenderIdentity.objects.count(), amazon.asked) == (0, [])
    given = add_sender(account=account, organization=account.organization, actor=None, identity="owner.example")
    assert given.is_verified
    assert is_sender_verified(account=account, organization=account.organization, address="news@owner.example")


def test_a_sender_that_waited_longer_does_not_become_verified_after_its_owners(
    account: SendingAccount, amazon: FakeAmazon
) -> None:
    older = SenderIdentity.objects.create(
        organization=account.organization, account=account, identity="news@owner.example"
    )
    owner = OrganizationFactory.create()
    amazon.identities |= {"owner.example": True, "news@owner.example": True}
    hers = AccountFactory.create(organization=owner, is_local=False)
    assert add_sender(account=hers, organization=owner, actor=None, identity="owner.example").is_verified

    check_account(account=account)
    check_account(account=hers)

    older.refresh_from_db()
    assert not older.is_verified
    assert SenderIdentity.objects.get(identity="owner.example").is_verified


def test_a_guest_uses_what_the_owner_of_a_shared_account_holds(account: SendingAccount, amazon: FakeAmazon) -> None:
    amazon.identities["example.com"] = True
    guest = OrganizationFactory.create()
    add_sender(account=account, organization=account.organization, actor=None, identity="example.com")

    assert is_sender_verified(account=account, organization=guest, address="news@example.com")
    assert not is_sender_verified(account=account, organization=guest, address="news@guest.example")


def test_the_owner_of_a_shared_account_shares_its_senders(account: SendingAccount, amazon: FakeAmazon) -> None:
    amazon.identities["example.com"] = True
    guest, other_guest = OrganizationFactory.create(), OrganizationFactory.create()
    add_sender(account=account, organization=account.organization, actor=None, identity="example.com")

    assert add_sender(account=account, organization=guest, actor=None, identity="example.com").is_verified

    amazon.identities["guest.example"] = True
    add_sender(account=account, organization=guest, actor=None, identity="guest.example")
    assert not add_sender(account=account, organization=other_guest, actor=None, identity="guest.example").is_verified


def test_a_change_reaches_the_limiter_and_names_its_fields(account: SendingAccount, amazon: FakeAmazon) -> None:
    actor = User.objects.create(email="alice@acme.example")

    update_account(account=account, actor=actor, changes={"rate_limit": 5.0, "calls_in_flight": 3})

    account = SendingAccount.objects.get()
    assert (account.rate_limit, account.calls_in_flight, account.max_send_rate) == (5.0, 3, 14)
    assert pace_of(account).max_rate == 5
    entry = AuditEntry.objects.get(action="account.changed")
    assert (entry.actor, entry.object_id, entry.detail) == (
        actor,
        str(account.pk),
        {"fields": ["calls_in_flight", "rate_limit"]},
    )


def test_no_change_asks_nobody_and_is_not_written_down(account: SendingAccount, amazon: FakeAmazon) -> None:
    update_account(account=account, actor=User.objects.create(email="alice@acme.example"), changes={})

    assert SendingAccount.objects.get().checked_at is None
    assert not AuditEntry.objects.exists()


def test_senders_of_the_old_region_are_asked_about_in_the_new_one(account: SendingAccount, amazon: FakeAmazon) -> None:
    amazon.identities = {"there.example": True}
    for name in ("here.example", "there.example"):
        SenderIdentity.objects.create(
            account=account, organization=account.organization, identity=name, is_verified=True
        )

    update_account(
        account=account, actor=User.objects.create(email="alice@acme.example"), changes={"region": "eu-west-1"}
    )

    assert dict(SenderIdentity.objects.values_list("identity", "is_verified")) == {
        "here.example": False,
        "there.example": True,
    }


def test_a_check_keeps_what_was_edited_while_the_provider_answered(
    account: SendingAccount, amazon: FakeAmazon, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer_late() -> AccountStatus:
        SendingAccount.objects.update(configuration_set="new", rate_limit=5)
        return HEALTHY

    monkeypatch.setattr(amazon, "account_status", answer_late)

    check_account(account=account)

    account.refresh_from_db()
    assert (account.configuration_set, account.rate_limit, account.max_send_rate) == ("new", 5, 14)


def test_setting_local_ses_up_makes_everything_once(db: None, amazon: FakeAmazon, settings: Settings) -> None:
    settings.LOCALSES_URL, settings.PUBLIC_URL = "http://127.0.0.1:1", "http://testserver"
    organization = OrganizationFactory.create()
    set_name = f"amazonsender-{organization.pk}"
    topic = f"arn:aws:sns:us-east-1:000000000000:{set_name}"

    first = set_up_local_account(organization=organization)
    done = list(amazon.done)
    second = set_up_local_account(organization=organization, name="Another name")

    assert first.pk == second.pk
    assert SendingAccount.objects.get().name == "Local SES"
    assert done == [
        ("set", set_name),
        ("subscribe", topic, "http", "http://testserver/webhooks/ses/"),
        ("destination", set_name, topic, EVENT_TYPES),
    ]
    assert amazon.done == done * 2
    account = SendingAccount.objects.get()
    assert (account.configuration_set, account.topic_arns) == (set_name, [topic])
    assert (account.pilot_size, account.pilot_wait_seconds) == (500, 5)
    assert SenderIdentity.objects.get().is_verified
    assert pace_of(account).max_rate == 14


def test_local_ses_is_set_up_without_a_sender_and_behind_https(
    db: None, amazon: FakeAmazon, settings: Settings
) -> None:
    settings.LOCALSES_URL, settings.PUBLIC_URL = "http://127.0.0.1:1", "https://mail.acme.example"

    set_up_local_account(organization=OrganizationFactory.create(sender_email=""))

    assert SenderIdentity.objects.count() == 0
    assert amazon.done[1][2:] == ("https", "https://mail.acme.example/webhooks/ses/")


def test_at_another_address_events_of_local_ses_come_to_that_alone(
    db: None, amazon: FakeAmazon, settings: Settings
) -> None:
    settings.LOCALSES_URL, settings.PUBLIC_URL = "http://127.0.0.1:1", "http://localhost:8000"
    organization = OrganizationFactory.create()
    account = set_up_local_account(organization=organization)
    amazon.subscriptions[f"{account.topic_arns[0]}:theirs"] = "http://localhost:9999/a/listener/of/theirs"
    amazon.subscriptions["another-topic:1"] = "http://localhost:8000/webhooks/ses/"

    settings.PUBLIC_URL = "http://localhost:8001"
    set_up_local_account(organization=organization)

    assert sorted(amazon.subscriptions.values()) == [
        "http://localhost:8000/webhooks/ses/",
        "http://localhost:8001/webhooks/ses/",
        "http://localhost:9999/a/listener/of/theirs",
    ]
    assert "another-topic:1" in amazon.subscriptions


def test_each_organization_gets_a_local_account_of_its_own(db: None, amazon: FakeAmazon, settings: Settings) -> None:
    settings.LOCALSES_URL = "http://127.0.0.1:1"
    first: Organization = OrganizationFactory.create()
    second: Organization = OrganizationFactory.create()

    assert set_up_local_account(organization=first).pk != set_up_local_account(organization=second).pk


def test_what_is_unsafe_about_a_database_is_one_sentence(raw: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("delivery.services.accounts.unsafe_durability", lambda _connection: [])
    assert durability_problem(raw) == ""

    monkeypatch.setattr("delivery.services.accounts.unsafe_durability", lambda _connection: ["synchronous_commit"])

    assert durability_problem(raw) == (
        "PostgreSQL runs with synchronous_commit = off: after a crash it would forget what was sent. Turn it on."
    )


# the adapter of an account


@pytest.fixture
def no_providers() -> Iterator[None]:
    forget_providers()
    yield
    forget_providers()


def test_an_account_has_one_adapter_per_process(
    account: SendingAccount, no_providers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = provider_for(account)
    assert provider_for(SendingAccount.objects.get(pk=account.pk)) is first

    monkeypatch.setattr("os.getpid", lambda: 1)  # after a fork
    second = provider_for(account)

    assert second is not first
    assert provider_for(account) is second


def test_another_region_or_endpoint_is_another_adapter(
    account: SendingAccount, no_providers: None, settings: Settings
) -> None:
    first = provider_for(account)
    account.region = "eu-central-1"
    second = provider_for(account)
    settings.SES_ENDPOINT_URL = "http://127.0.0.1:2"
    third = provider_for(account)

    assert len({id(first), id(second), id(third)}) == 3


def test_forgotten_adapters_are_closed(
    account: SendingAccount, no_providers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[object] = []
    provider = provider_for(account)
    monkeypatch.setattr(type(provider), "close", lambda self: closed.append(self))

    forget_providers()

    assert closed == [provider]
    assert provider_for(account) is not provider


def test_a_local_account_talks_to_local_ses_with_its_keys_and_a_real_one_never_does(
    account: SendingAccount, no_providers: None, settings: Settings
) -> None:
    settings.LOCALSES_URL, settings.SES_ENDPOINT_URL = "http://127.0.0.1:3", ""
    local = AccountFactory.create(organization=account.organization)

    assert providers._config(local) == {
        "region": "us-east-1",
        "endpoint_url": "http://127.0.0.1:3",
        "access_key": "localses",
        "secret_key": "localses-secret",
    }
    assert providers._config(account) == {"region": "us-east-1", "endpoint_url": None}


def test_set_up_operations_are_for_ses_alone(
    account: SendingAccount, no_providers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert administration_for(account) is provider_for(account)
    assert topics_for(account) is not None

    monkeypatch.setattr(providers, "create_provider", lambda _name, **_config: object())
    monkeypatch.setattr(providers, "_providers", {})

    with pytest.raises(InvalidInput, match="“Test” is no Amazon SES account"):
        administration_for(account)
    providers._providers.clear()
