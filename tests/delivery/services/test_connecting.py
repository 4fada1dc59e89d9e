"""Connecting accounts whose settings are entered."""

from __future__ import annotations

from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import orjson
import pytest
from pytest_django import Settings

from amazonsender.core.errors import Forbidden, InvalidInput
from amazonsender.core.sealing import unseal
from delivery.engine.process import make_runner
from delivery.models import AccountPace, ParkReason, SendingAccount
from delivery.services.accounts import UNLIMITED_DAY, check_account
from delivery.services.connecting import AccountSettings, connect_account, connectable, connectables, reconnect_account
from delivery.services.providers import forget_providers, options_of, provider_for
from organizations.models import AuditEntry, Organization, User
from tests.delivery.providers.contract.smtp_bench import SmtpBench
from tests.factories import OrganizationFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def server() -> Iterator[SmtpBench]:
    made = SmtpBench()
    yield made
    forget_providers()
    made.stop()


def settings_for(server: SmtpBench, **changes: Any) -> AccountSettings:
    values = {"host": "127.0.0.1", "port": str(server.stub.port), "security": "none", "username": "acme"}
    own: dict[str, Any] = {"name": "Relay", "rate_limit": 20.0, "day_limit": 5000}
    return AccountSettings(
        **(own | {key: changes.pop(key) for key in list(changes) if key in own}),
        values=values | {"password": "secret"} | changes,
    )


def connect(organization: Organization, server: SmtpBench, **changes: Any) -> SendingAccount:
    return connect_account(
        organization=organization, actor=None, provider="smtp", variant="", settings=settings_for(server, **changes)
    )


def test_a_mail_server_is_connected_with_its_owners_limits_and_a_sealed_password(
    acme: Organization, server: SmtpBench
) -> None:
    account = connect(acme, server)

    account.refresh_from_db()
    assert (account.check_error, account.sending_enabled) == ("", True)
    assert account.options["port"] == server.stub.port
    assert "secret" not in orjson.dumps([account.options, account.sealed_options]).decode()
    assert orjson.loads(unseal(account.sealed_options)) == {"password": "secret"}
    assert options_of(account)["password"] == "secret"
    pace = AccountPace.objects.get(account=account)
    assert (pace.max_rate, pace.day_limit, account.max_24_hour_send) == (20.0, 5000, 5000)
    assert server.stub.logins == ["\0acme\0secret"]
    assert AuditEntry.objects.get().action == "account.created"


def test_settings_change_and_a_secret_that_is_left_empty_stays(acme: Organization, server: SmtpBench) -> None:
    account = connect(acme, server)
    first = provider_for(account)

    changed = settings_for(server, name="New", rate_limit=5.0, day_limit=None, username="other", password="")
    reconnect_account(account=account, actor=None, settings=changed)

    assert server.stub.logins == ["\0acme\0secret", "\0other\0secret"]
    assert provider_for(account) is not first
    assert provider_for(account) is provider_for(account)
    pace = AccountPace.objects.get(account=account)
    assert (account.name, pace.max_rate, pace.day_limit) == ("New", 5.0, UNLIMITED_DAY)
    written = AuditEntry.objects.order_by("pk").last()
    assert written is not None
    assert written.action == "account.changed"
    assert "secret" not in str(written.detail)


def test_a_wrong_password_connects_and_says_so(acme: Organization, server: SmtpBench) -> None:
    server.set_mode("credentials")

    account = connect(acme, server)

    assert account.check_error.startswith("credentials: ")
    server.set_mode("accept")
    assert check_account(account=account).check_error == ""


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"host": ""}, "“Server” is missing"),
        ({"host": "a b"}, "no mail server"),
        ({"port": "many"}, "“many” is no whole number for “Port”"),
        ({"port": "70000"}, "70000 is no port"),
        ({"security": "ssl"}, "“ssl” is none of “Encryption”: starttls, tls, none"),
        ({"colour": "red"}, "“colour” is no setting of it; there are: host"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_made(
    acme: Organization, server: SmtpBench, wrong: dict[str, str], said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        connect(acme, server, **wrong)

    assert not SendingAccount.objects.exists()
    assert server.connections == 0


def test_what_is_nothing_to_connect_is_told_with_what_there_is() -> None:
    assert connectable("smtp", "").label == "A mail server, by SMTP"
    assert [found.provider for found in connectables()][-1] == "smtp"
    for provider, variant in (("ses", ""), ("pigeon", "grey")):
        with pytest.raises(InvalidInput, match=r"there are: .*smtp"):
            connectable(provider, variant)


def test_among_several_organizations_only_an_operator_names_servers(
    acme: Organization, alice: User, server: SmtpBench
) -> None:
    account = connect(acme, server)
    OrganizationFactory.create()

    with pytest.raises(Forbidden, match="Several organizations"):
        reconnect_account(account=account, actor=alice, settings=settings_for(server))
    with pytest.raises(Forbidden, match="Several organizations"):
        connect_account(organization=acme, actor=alice, provider="smtp", variant="", settings=settings_for(server))

    assert SendingAccount.objects.count() == 1


def test_secrets_of_a_lost_key_stop_the_account_until_they_are_entered_again(
    acme: Organization, server: SmtpBench, settings: Settings
) -> None:
    account = connect(acme, server)
    settings.SECRET_KEY = "another"

    assert make_runner(account.pk, SimpleQueue()) is None
    assert AccountPace.objects.get(account=account).parked_reason == ParkReason.MISCONFIGURED
    assert "enter them again" in check_account(account=account).check_error
    reconnect_account(account=account, actor=None, settings=settings_for(server, password="newer"))

    assert account.check_error == ""
    assert AccountPace.objects.get(account=account).parked_reason == ""
    assert server.stub.logins[-1] == "\0acme\0newer"
