"""The pages that connect a mail server or another service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import reverse

from delivery.models import ParkReason, SenderIdentity, SendingAccount
from delivery.services.account_points import points_of
from delivery.services.providers import forget_providers, options_of
from organizations.models import Organization, User
from tests.campaigns.test_pages import text
from tests.delivery.providers.contract.smtp_bench import SmtpBench
from tests.factories import AccountFactory

NEW = "/admin/account/connect/smtp/"


@pytest.fixture
def server() -> Iterator[SmtpBench]:
    made = SmtpBench()
    yield made
    forget_providers()
    made.stop()


@pytest.fixture
def operator(alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_superuser=True)


def entered(server: SmtpBench, **changes: object) -> dict[str, object]:
    values: dict[str, object] = {
        "account_name": "Relay",
        "host": "127.0.0.1",
        "port": server.stub.port,
        "security": "none",
        "username": "acme",
        "password": "geheim",
        "rate_limit": 12,
    }
    return values | changes


def test_a_mail_server_is_chosen_connected_and_changed(alice_client: Client, operator: None, server: SmtpBench) -> None:
    assert NEW in alice_client.get(reverse("admin:sending_account_choose")).content.decode()
    assert "Address for bounces" in text(alice_client.get(NEW))

    made = alice_client.post(NEW, entered(server))

    account = SendingAccount.objects.get()
    assert made.headers["Location"] == reverse("admin:sending_account", args=[account.pk])
    page = text(alice_client.get(made.headers["Location"]))
    assert "The service answers" in page
    assert "A mail server tells of no bounces" in page
    assert "geheim" not in page
    to_edit = alice_client.get(reverse("admin:sending_account_edit", args=[account.pk]))
    change = to_edit.headers["Location"]
    assert change == reverse("admin:sending_account_connection", args=[account.pk])
    shown = text(alice_client.get(change))
    assert "Leave it empty to keep what is there." in shown
    assert "geheim" not in shown

    alice_client.post(change, entered(server, password="", account_name="Renamed", day_limit=100))

    account.refresh_from_db()
    assert (account.name, account.rate_limit, account.day_limit) == ("Renamed", 12, 100)
    assert options_of(account)["password"] == "geheim"


def test_what_was_entered_wrongly_is_told_at_its_field_and_nothing_is_made(
    alice_client: Client, operator: None, server: SmtpBench
) -> None:
    for wrong in ({"host": ""}, {"port": "x"}, {"rate_limit": 0}, {"host": "a b"}):
        response = alice_client.post(NEW, entered(server, **wrong))
        assert response.status_code == 422
        assert "Something is not right yet." in text(response)
    assert not SendingAccount.objects.exists()


def test_a_server_that_refuses_the_password_is_told(alice_client: Client, operator: None, server: SmtpBench) -> None:
    server.set_mode("credentials")

    made = alice_client.post(NEW, entered(server), follow=True)

    assert "Saved, but the service did not answer as hoped" in text(made)
    assert "The last check failed" in text(made)


def test_only_whoever_runs_the_installation_connects_among_several(
    alice_client: Client, bob_client: Client, server: SmtpBench
) -> None:
    assert "Several organizations share this installation." in text(alice_client.get(NEW))
    assert alice_client.post(NEW, entered(server)).status_code == 403
    assert bob_client.get(NEW).status_code == 403
    assert not SendingAccount.objects.exists()


def test_nothing_to_connect_leads_to_the_choice(alice_client: Client, operator: None, mallory_client: Client) -> None:
    response = alice_client.get("/admin/account/connect/pigeon/")

    assert response.headers["Location"] == reverse("admin:sending_account_choose")
    assert mallory_client.get("/admin/account/1/connection/").status_code == 404


def test_an_account_at_amazon_is_changed_on_its_own_page(
    alice_client: Client, operator: None, acme: Organization
) -> None:
    account = AccountFactory.create(organization=acme)

    response = alice_client.get(f"/admin/account/{account.pk}/connection/")

    assert response.headers["Location"] == reverse("admin:sending_account_edit", args=[account.pk])


def test_points_say_what_another_service_lacks(acme: Organization) -> None:
    account = AccountFactory.create(organization=acme, provider="anymail", variant="postmark", checked_at=None)
    states = [point.state for point in points_of(account, [], ParkReason.OUTAGE)]
    assert states[0] == "The provider does not answer."
    assert set(states[1:]) == {"Events do not come back", "Nobody has tried the connection yet", "No sender yet"}

    account.check_error = "unreachable: no"
    account.options = {"webhook_secret": "a:b"}
    points = points_of(account, [SenderIdentity(identity="acme.example")], None)
    assert [point.state for point in points if point.tone == "stop"] == ["The last check failed"]
    events = next(point for point in points if point.state == "Events have a way back")
    assert events.step.endswith(f"/webhooks/account/{account.pk}")
    account.sealed_options = "rubbish"
    assert "Events do not come back" in [point.state for point in points_of(account, [], None)]
