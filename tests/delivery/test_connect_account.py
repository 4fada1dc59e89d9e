"""The command that connects one of several organizations to the credentials they share."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from delivery.models import AccountPace, SenderIdentity, SendingAccount
from delivery.providers.base import TransientError
from delivery.services import accounts
from delivery.services.providers import forget_providers
from organizations.models import AuditEntry, Organization
from tests.delivery.providers.contract.smtp_bench import SmtpBench
from tests.delivery.services.fake_amazon import FakeAmazon

TOPIC = "arn:aws:sns:eu-west-1:123456789012:events"


@pytest.fixture
def amazon(monkeypatch: pytest.MonkeyPatch) -> FakeAmazon:
    made = FakeAmazon()
    monkeypatch.setattr(accounts, "provider_for", lambda _account: made)
    return made


def run(*arguments: str) -> tuple[str, int]:
    out = StringIO()
    try:
        call_command("connect_account", *arguments, stdout=out)
    except SystemExit as end:
        return out.getvalue(), int(end.code or 0)
    return out.getvalue(), 0


def answer(*arguments: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(run(*arguments, "--format", "json")[0])
    return made


def test_an_organization_among_several_is_connected_once_and_changed_later(
    acme: Organization, other: Organization, amazon: FakeAmazon
) -> None:
    amazon.identities["acme.example"] = True
    first = answer("--organization", acme.name, "--region", "eu-west-1", "--topic", TOPIC, "--sender", "acme.example")
    again = answer(
        "--organization", acme.name, "--region", "eu-west-1", "--configuration-set", "acme", "--sender", "x@b.example"
    )

    account = SendingAccount.objects.get()
    assert (account.organization, account.name, account.region) == (acme, "Amazon SES", "eu-west-1")
    assert (account.configuration_set, account.topic_arns) == ("acme", [TOPIC])
    assert AccountPace.objects.get().max_rate == 14
    assert first == {"account_id": account.pk, "error": "", "senders": {"acme.example": True}}
    assert again["senders"] == {"x@b.example": False}
    assert SenderIdentity.objects.filter(organization=acme).count() == 2
    written = AuditEntry.objects.filter(actor=None).order_by("pk").values_list("action", flat=True)
    assert list(written) == ["account.created", "account.changed"]


def test_people_read_what_came_of_it(acme: Organization, amazon: FakeAmazon) -> None:
    amazon.identities["acme.example"] = True

    text, code = run(
        "--organization", acme.name, "--region", "eu-west-1", "--sender", "acme.example", "--sender", "no.example"
    )

    account = SendingAccount.objects.get()
    assert text.splitlines() == [
        f"{account.pk}  Amazon SES (eu-west-1): connected",
        "   acme.example: verified",
        "   no.example: NOT verified",
    ]
    assert code == 0


def test_a_silent_amazon_ends_with_one(acme: Organization, amazon: FakeAmazon) -> None:
    amazon.status = TransientError("no credentials")

    text, code = run("--organization", acme.name, "--region", "eu-west-1")

    assert "Amazon does not answer: no credentials" in text
    assert code == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--organization", "Nobody", "--region", "eu-west-1"], "There is no organization “Nobody”."),
        (["--organization", "Acme Coffee", "--region", "Frankfurt"], "“Frankfurt” is not a region."),
        (
            ["--organization", "Acme Coffee", "--region", "eu-west-1", "--topic", "x"],
            "“x” is not an ARN of an SNS topic.",
        ),
        (
            ["--organization", "Acme Coffee", "--region", "eu-west-1", "--sender", "x"],
            "“x” is not an address or a domain.",
        ),
        (
            ["--organization", "Acme Coffee", "--region", "eu-west-1", "--configuration-set", "my set"],
            "“my set” is not a configuration set.",
        ),
    ],
)
def test_wrong_values_connect_nothing(acme: Organization, amazon: FakeAmazon, arguments: list[str], said: str) -> None:
    with pytest.raises(CommandError) as refused:
        run(*arguments)

    assert str(refused.value) == said
    assert not SendingAccount.objects.exists()


def test_a_mail_server_is_connected_with_a_secret_from_the_environment(
    acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = SmtpBench()
    monkeypatch.setenv("RELAY_PASSWORD", "secret")
    given = ["--organization", acme.name, "--provider", "smtp", "--set", "host=127.0.0.1", "--set", "security=none"]
    given += ["--set", f"port={server.stub.port}", "--set", "username=acme", "--secret", "password=RELAY_PASSWORD"]

    first = answer(*given, "--rate", "20", "--sender", "acme.example")
    said = run(*given, "--day-limit", "500")[0]

    account = SendingAccount.objects.get()
    assert (account.provider, account.name, account.rate_limit, account.day_limit) == ("smtp", "smtp", 20, 500)
    assert first == {"account_id": account.pk, "error": "", "senders": {"acme.example": True}}
    assert said == f"{account.pk}  smtp (smtp): connected\n"
    assert set(server.stub.logins) == {"\0acme\0secret"}
    forget_providers()
    server.stop()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--set", "host"], "“host” is not NAME=VALUE"),
        (["--secret", "password=NOT_SET_ANYWHERE"], "no variable NOT_SET_ANYWHERE"),
        (["--set", "host=mail.example.com"], "--rate"),
        (["--set", "colour=red", "--rate", "1"], "no setting of it"),
    ],
)
def test_what_another_service_cannot_use_is_refused(acme: Organization, given: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        run("--organization", acme.name, "--provider", "smtp", *given)

    assert not SendingAccount.objects.exists()
