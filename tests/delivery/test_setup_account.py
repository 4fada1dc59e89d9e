"""The command does what the page's button does, and prints the policy for it."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command

from delivery.models import SendingAccount
from delivery.providers.base import PermanentError
from tests.delivery.services.amazon import Amazon
from tests.delivery.services.conftest import at_amazon, public, service
from tests.factories import AccountFactory

__all__ = ["at_amazon", "public", "service"]


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and output."""
    answer = io.StringIO()
    try:
        call_command("setup_account", *arguments, stdout=answer)
    except SystemExit as end:
        return int(str(end.code)), answer.getvalue()
    return 0, answer.getvalue()


def test_a_dry_run_tells_and_changes_nothing(at_amazon: SendingAccount, service: Amazon) -> None:
    code, said = run(str(at_amazon.pk), "--dry-run")

    assert code == 1  # something would be done
    assert f"create   Configuration set: amazonsender-{at_amazon.organization_id}\n" in said
    assert service.changes == []


def test_it_sets_up_once(at_amazon: SendingAccount, service: Amazon) -> None:
    code, said = run(str(at_amazon.pk), "--format", "json")
    assert code == 0
    assert {step["state"] for step in json.loads(said)} == {"done"}

    service.changes.clear()
    assert run(str(at_amazon.pk), "--dry-run")[0] == 0
    assert run(str(at_amazon.pk))[0] == 0
    assert service.changes == []


def test_what_is_refused_is_named(at_amazon: SendingAccount, service: Amazon) -> None:
    service.denied = {"sns:CreateTopic"}

    code, said = run(str(at_amazon.pk), "--domains")

    assert code == 1
    assert "The keys may not do it. Allow the keys sns:CreateTopic.\n" in said
    assert "skipped  Subscription of this server:" in said


def test_the_policy_is_printed_and_nothing_done(at_amazon: SendingAccount, service: Amazon) -> None:
    code, said = run(str(at_amazon.pk), "--policy")

    assert code == 0
    assert json.loads(said)["Version"] == "2012-10-17"
    assert service.changes == []


def test_accounts_that_cannot_be_set_up(
    at_amazon: SendingAccount, service: Amazon, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = AccountFactory.create(provider="smtp", is_local=False)
    with pytest.raises(CommandError, match="There is no sending account 0"):
        run("0")
    with pytest.raises(CommandError, match="no Amazon SES account"):
        run(str(other.pk))

    def refuse(_account: SendingAccount) -> None:
        raise PermanentError("No AWS credentials found")

    monkeypatch.setattr("delivery.services.setting_up.administration_for", refuse)
    with pytest.raises(CommandError, match="No AWS credentials found"):
        run(str(at_amazon.pk))
