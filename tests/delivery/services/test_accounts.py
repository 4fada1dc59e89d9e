"""Sending accounts: what the provider says reaches the limiter."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from amazonsender.core.errors import InvalidInput
from delivery.engine.database import Connection
from delivery.models import AccountPace, ParkReason, SenderIdentity, SendingAccount
from delivery.providers.base import AccountStatus, TransientError
from delivery.services.accounts import (
    UNLIMITED_DAY,
    check_account,
    create_account,
    durability_problem,
    update_account,
)
from organizations.models import AuditEntry, User
from tests.delivery.services.fake_amazon import HEALTHY, FakeAmazon
from tests.factories import AccountFactory, OrganizationFactory


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


def test_what_is_unsafe_about_a_database_is_one_sentence(raw: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("delivery.services.accounts.unsafe_durability", lambda _connection: [])
    assert durability_problem(raw) == ""

    monkeypatch.setattr("delivery.services.accounts.unsafe_durability", lambda _connection: ["synchronous_commit"])

    assert durability_problem(raw) == (
        "PostgreSQL runs with synchronous_commit = off: after a crash it would forget what was sent. Turn it on."
    )
