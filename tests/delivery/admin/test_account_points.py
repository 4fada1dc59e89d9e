"""What the account page says of each thing that sending depends on."""

from __future__ import annotations

import datetime

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from delivery.models import AccountPace, ParkReason, SenderIdentity, SendingAccount
from delivery.services.account_points import WAYS_ON, points_of
from delivery.services.points import Point
from organizations.models import Organization
from tests.campaigns import world
from tests.campaigns.test_pages import text


@pytest.fixture(autouse=True)
def public(settings: Settings) -> None:
    settings.PUBLIC_URL = "https://mail.acme.example"


def account(**given: object) -> SendingAccount:
    """One at Amazon that lacks nothing."""
    fine: dict[str, object] = {"configuration_set": "news", "topic_arns": ["arn:x"], "checked_at": timezone.now()}
    return SendingAccount(name="SES", **fine | given)


def sender(identity: str = "acme.example", *, is_verified: bool = True, dkim: str = "SUCCESS") -> SenderIdentity:
    return SenderIdentity(identity=identity, is_verified=is_verified, dkim_status=dkim)


def wanting(*points: Point) -> list[tuple[str, str]]:
    return [(point.tone, point.state) for point in points if point.tone != "ok"]


def test_an_account_that_lacks_nothing_says_why_each_thing_matters() -> None:
    points = points_of(account(), [sender()], None)

    assert [point.state for point in points] == [
        "Checked less than a minute ago",
        "Sending is switched on",
        "Every sender is verified",
        "Events have a way back",
        "It may mail anyone",
        "0 % of the day’s quota is used",
    ]
    assert all(point.why and not point.step and not point.act for point in points)


@pytest.mark.parametrize(
    ("given", "tone", "state", "act"),
    [
        ({"checked_at": None}, "note", "Nobody has asked Amazon yet", "check"),
        ({"check_error": "Access denied."}, "note", "The last check failed", "check"),
        ({"configuration_set": ""}, "stop", "Events do not come back", "set_up"),
        ({"topic_arns": []}, "stop", "Events do not come back", "set_up"),
        ({"topic_arns": [], "is_local": True}, "stop", "Events do not come back", "local"),
        ({"production_access": False}, "note", "It is in Amazon’s sandbox", ""),
    ],
)
def test_what_is_amiss_has_its_step(given: dict[str, object], tone: str, state: str, act: str) -> None:
    [point] = [point for point in points_of(account(**given), [sender()], None) if point.tone != "ok"]

    assert (point.tone, point.state, point.act) == (tone, state, act)
    assert point.why
    assert point.step


def test_a_check_that_is_overdue_names_the_scheduler() -> None:
    late = account(checked_at=timezone.now() - datetime.timedelta(minutes=11))

    [point] = [point for point in points_of(late, [sender()], None) if point.tone != "ok"]

    assert point.state == "Last checked 11 minutes ago"
    assert "scheduler" in point.step


def test_a_check_of_some_minutes_ago_is_fine() -> None:
    points = points_of(account(checked_at=timezone.now() - datetime.timedelta(minutes=3)), [sender()], None)

    assert points[0].state == "Checked 3 minutes ago"
    assert wanting(*points) == []


@pytest.mark.parametrize(
    ("senders", "said"),
    [
        ([], [("stop", "No sender yet")]),
        ([sender(is_verified=False)], [("stop", "No sender is verified")]),
        ([sender(), sender("b.example", is_verified=False)], [("note", "Not every sender is verified")]),
        ([sender(dkim="PENDING")], [("note", "DKIM is not set up for acme.example")]),
    ],
)
def test_senders(senders: list[SenderIdentity], said: list[tuple[str, str]]) -> None:
    assert wanting(*points_of(account(), senders, None)) == said


@pytest.mark.parametrize("reason", list(ParkReason))
def test_a_held_account_says_why_first_and_how_it_goes_on(reason: ParkReason) -> None:
    point = points_of(account(production_access=False), [sender()], reason)[0]

    assert (point.tone, point.state, point.step) == ("stop", f"{reason.label}.", str(WAYS_ON[reason]))


@pytest.mark.parametrize(
    ("reason", "status", "state"),
    [
        (ParkReason.REVIEW, "PROBATION", "Amazon is reviewing the account"),
        (ParkReason.SUSPENDED, "SHUTDOWN", "Amazon shut sending down"),
    ],
)
def test_amazons_own_word_about_an_account_is_said_once(reason: ParkReason, status: str, state: str) -> None:
    assert wanting(*points_of(account(enforcement_status=status), [sender()], reason)) == [("stop", state)]


def test_a_server_that_amazon_cannot_reach(settings: Settings) -> None:
    settings.PUBLIC_URL = "http://localhost:8000"

    assert wanting(*points_of(account(), [sender()], None)) == [("stop", "Amazon can’t reach this server")]
    assert wanting(*points_of(account(is_local=True), [sender(dkim="")], None)) == []


def test_the_page_counts_what_is_to_be_mended_and_says_when_amazon_slows_us(
    alice_client: Client, bob_client: Client, acme: Organization
) -> None:
    made = world.make_account(acme)
    url = reverse("admin:sending_account", args=[made.pk])
    SendingAccount.objects.update(checked_at=timezone.now())
    assert "1 thing to mend" in text(alice_client.get(url))
    assert "Set up again" not in text(bob_client.get(url))
    assert "slow down" not in text(alice_client.get(url))

    SendingAccount.objects.update(configuration_set="news", topic_arns=["arn:x"])
    AccountPace.objects.update(factor=0.5)

    said = text(alice_client.get(url))
    assert "Everything it needs is in order" in said
    assert "Amazon asked to slow down; it rises by itself." in said
    assert "25 <small>a second</small>" in said


def test_the_days_quota_is_told_and_noted_when_nearly_used() -> None:
    easy = account(max_24_hour_send=50_000, sent_last_24_hours=100)
    assert "0 % of the day’s quota is used" in [point.state for point in points_of(easy, [sender()], None)]

    nearly = account(max_24_hour_send=50_000, sent_last_24_hours=40_000)
    assert wanting(*points_of(nearly, [sender()], None)) == [("note", "80 % of the day’s quota is used")]

    unlimited = account(max_24_hour_send=-1, sent_last_24_hours=40_000)
    assert not [point for point in points_of(unlimited, [sender()], None) if "quota" in point.state]
