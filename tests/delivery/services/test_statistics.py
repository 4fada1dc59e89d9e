"""Amazon's own figures: read over the wire, by day, kept for minutes, and shown to whom they belong."""

from __future__ import annotations

import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from delivery.models import SendingAccount
from delivery.providers.base import PermanentError
from delivery.providers.ses.statistics import SendStatistics, SesStatistics
from delivery.services import statistics as service
from delivery.services.statistics import Figures, account_statistics
from organizations.models import Member, Organization, User
from tests.cast import Cast
from tests.factories import AccountFactory
from tests.localses.running import Running, free_port, start, stop

NOON = datetime.datetime(2026, 11, 25, 12, tzinfo=datetime.UTC)


def point(
    days_ago: float, attempts: int = 0, bounces: int = 0, complaints: int = 0, rejects: int = 0
) -> dict[str, Any]:
    return {
        "Timestamp": NOON - datetime.timedelta(days=days_ago),
        "DeliveryAttempts": attempts,
        "Bounces": bounces,
        "Complaints": complaints,
        "Rejects": rejects,
    }


class Amazon:
    """Answers with these points, and counts how often it is asked."""

    def __init__(self, *points: dict[str, Any], error: str = "", day: float = 50_000) -> None:
        self.points, self.error, self.day, self.asked = points, error, day, 0

    def read(self) -> SendStatistics:
        self.asked += 1
        if self.error:
            raise PermanentError(self.error)
        return SendStatistics({"SendDataPoints": list(self.points)}, self.day, 14, 1234)


@pytest.fixture
def account(acme: Organization) -> SendingAccount:
    found: SendingAccount = AccountFactory.create(organization=acme, is_local=False, region="eu-central-1")
    return found


def answers(monkeypatch: pytest.MonkeyPatch, amazon: Amazon) -> Amazon:
    monkeypatch.setattr(service, "statistics_for", lambda _account: amazon)
    return amazon


@time_machine.travel(NOON, tick=False)
def test_points_become_days_of_the_organizations_calendar(
    account: SendingAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In Riga it is 14:00; what was at 22:30 UTC is of the next day there.
    answers(monkeypatch, Amazon(point(0, 10, 1), point(13.5625, 5, 0, 1), point(14.2, 999), point(0.0625, 4, 0, 0, 2)))

    found = account_statistics(account)

    assert len(found.days) == 14
    assert found.days[-1] == (datetime.date(2026, 11, 25), Figures(14, 1, 0, 2))
    assert found.days[0] == (datetime.date(2026, 11, 12), Figures(5, 0, 1, 0))
    assert found.total == Figures(19, 1, 1, 2)
    assert (found.max_24_hour_send, found.max_send_rate, found.sent_last_24_hours) == (50_000, 14, 1234)
    assert (found.asked_at, found.error) == (NOON, "")


def test_amazon_is_asked_every_five_minutes_at_most(account: SendingAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    amazon = answers(monkeypatch, Amazon(point(0, 10)))

    first, second = account_statistics(account), account_statistics(account)

    assert amazon.asked == 1
    assert first == second
    SendingAccount.objects.filter(pk=account.pk).update(region="us-east-1")
    account.refresh_from_db()
    account_statistics(account)
    assert amazon.asked == 2, "another region has figures of its own"


def test_a_refusal_is_told_and_asked_again_soon(account: SendingAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[int] = []
    monkeypatch.setattr(cache, "set", lambda _key, _value, seconds: kept.append(seconds))
    answers(monkeypatch, Amazon(error="AccessDenied: no ses:GetSendStatistics"))

    found = account_statistics(account)

    assert (found.error, found.days) == ("AccessDenied: no ses:GetSendStatistics", ())
    assert kept == [30]


def test_without_the_cache_amazon_is_asked_each_time(account: SendingAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_arguments: object) -> None:
        raise ConnectionError("no cache")

    monkeypatch.setattr(cache, "get", down)
    monkeypatch.setattr(cache, "set", down)
    amazon = answers(monkeypatch, Amazon(point(0, 10)))

    assert account_statistics(account).total.attempts == account_statistics(account).total.attempts > -1
    assert amazon.asked == 2


def test_what_another_version_kept_is_not_shown(account: SendingAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "get", lambda _key: {"old": True})
    amazon = answers(monkeypatch, Amazon())

    assert account_statistics(account).total == Figures()
    assert amazon.asked == 1


@pytest.fixture
def alone(cast: Cast) -> None:
    """Nobody else shares the installation."""
    cast.other.delete()


def path(account: SendingAccount) -> str:
    return f"/admin/account/{account.pk}/statistics/"


@time_machine.travel(NOON, tick=False)
def test_the_owner_sees_days_rates_and_quota(
    alone: None, alice_client: Client, account: SendingAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, Amazon(point(0, 9_000, 90), point(3, 1_000, 0, 10, 1)))
    assert path(account) in alice_client.get(f"/admin/account/{account.pk}/").content.decode()

    page = alice_client.get(path(account)).content.decode()

    assert "Amazon took 10,000 emails in the last 14 days." in page
    assert "The whole account in eu-central-1" in page
    assert "Asked at 14:00." in page
    assert "90 <small>0.9%</small>" in page
    assert "10 <small>0.10%</small>" in page
    assert "of 50,000 in 24 hours" in page
    assert "At most 14 people a second." in page
    assert page.count('data-chart="days"') == 2
    assert page.count("<tr>") == 15


def test_an_account_that_sent_nothing_says_so(
    alone: None, alice_client: Client, account: SendingAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, Amazon(day=-1))

    page = alice_client.get(path(account)).content.decode()

    assert "Amazon took no email in the last 14 days." in page
    assert "sent in 24 hours, no limit" in page
    assert "data-chart=" not in page


def test_keys_that_may_not_ask_are_told_what_they_need(
    alone: None, alice_client: Client, account: SendingAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, Amazon(error="AccessDenied: <b>you</b>"))

    page = alice_client.get(path(account)).content.decode()

    assert "Amazon did not tell its figures." in page
    assert "AccessDenied: &lt;b&gt;you&lt;/b&gt;" in page
    assert "ses:GetSendStatistics and ses:GetSendQuota" in page


def test_only_owners_and_only_of_ses_accounts_come_in(
    alice_client: Client, bob_client: Client, bob: User, mallory_client: Client, account: SendingAccount
) -> None:
    Member.objects.filter(user=bob).update(role="admin")
    assert bob_client.get(path(account)).status_code == 403
    assert path(account) not in bob_client.get(f"/admin/account/{account.pk}/").content.decode()
    assert mallory_client.get(path(account)).status_code == 404

    SendingAccount.objects.filter(pk=account.pk).update(provider="smtp")

    assert alice_client.get(path(account)).status_code == 404


def test_where_organizations_share_the_account_an_operator_sees_it_alone(
    alice: User, alice_client: Client, other: Organization, account: SendingAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    amazon = answers(monkeypatch, Amazon(point(0, 77_777)))

    page = alice_client.get(path(account)).content.decode()

    assert "Several organizations share it." in page
    assert "77,777" not in page
    assert amazon.asked == 0
    User.objects.filter(pk=alice.pk).update(is_superuser=True)
    monkeypatch.setattr(timezone, "now", lambda: NOON)
    assert "77,777" in alice_client.get(path(account)).content.decode()


def test_local_ses_tells_what_it_took(
    acme: Organization, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    running: Running = start(tmp_path_factory.mktemp("localses"), free_port(), LOCALSES_IDENTITIES="example.com")
    try:
        settings.LOCALSES_URL = running.url
        local = AccountFactory.create(organization=acme, is_local=True)
        for address in ("ana@example.org", "bounce@simulator.amazonses.com"):
            running.client("sesv2").send_email(
                FromEmailAddress="news@example.com",
                Destination={"ToAddresses": [address]},
                Content={"Simple": {"Subject": {"Data": "x"}, "Body": {"Text": {"Data": "x"}}}},
            )
        running.settle()

        found = account_statistics(local)
        running.faults({"fault": "exception", "code": "AccessDeniedException", "operations": ["GetSendStatistics"]})
        with pytest.raises(PermanentError, match="GetSendStatistics"):
            SesStatistics(
                "us-east-1", endpoint_url=running.url, access_key="localses", secret_key="localses-secret"
            ).read()
    finally:
        stop(running)

    assert found.total == Figures(attempts=2, bounces=1)
    assert found.days[-1][0] == timezone.now().astimezone(ZoneInfo("Europe/Riga")).date()
