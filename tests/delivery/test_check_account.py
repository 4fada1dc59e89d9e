"""The command tells what the account page tells."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import call_command
from django.utils import timezone

from delivery.domains.checking import Findings
from delivery.domains.lookup import Answer, Question, State
from delivery.models import SenderIdentity, SendingAccount, SendingDomain
from tests.factories import AccountFactory


@pytest.mark.django_db
def test_check_account_tells_each_point_and_the_step_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("delivery.management.commands.check_account.look_again", lambda *, account, is_forced: True)
    AccountFactory.create(
        is_local=False,
        checked_at=timezone.now(),
        max_24_hour_send=1000,
        sent_last_24_hours=900,
    )
    answer = io.StringIO()
    call_command("check_account", "--format", "json", stdout=answer)
    points = {point["state"]: point for point in json.loads(answer.getvalue())[0]["points"]}
    assert points["90 % of the day’s quota is used"]["tone"] == "note"

    text = io.StringIO()
    call_command("check_account", stdout=text)
    assert f"90 % of the day’s quota is used: {points['90 % of the day’s quota is used']['step']}" in text.getvalue()
    assert "Sending is switched on" not in text.getvalue()


@pytest.mark.django_db
def test_check_account_tells_each_record_of_a_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    account = AccountFactory.create(is_local=False, region="eu-west-1", checked_at=timezone.now())
    SenderIdentity.objects.create(organization=account.organization, account=account, identity="acme.io")
    wrong = Answer(State.FOUND, ("v=DMARC1; p=rejct",))

    def look(*, account: SendingAccount, is_forced: bool) -> bool:
        findings = Findings({Question("_dmarc.acme.io", "TXT"): wrong})
        SendingDomain.objects.update_or_create(
            organization=account.organization,
            account=account,
            name="acme.io",
            defaults={"identity": {"state": "missing"}, "findings": findings.as_json(), "checked_at": timezone.now()},
        )
        return True

    monkeypatch.setattr("delivery.management.commands.check_account.look_again", look)
    answer, told = io.StringIO(), io.StringIO()
    call_command("check_account", "--format", "json", stdout=answer)
    call_command("check_account", stdout=told)

    domain = json.loads(answer.getvalue())[0]["domains"]["acme.io"]
    assert domain["trouble"] == "Amazon doesn’t know this domain"
    dmarc = next(record for record in domain["records"] if record["purpose"] == "dmarc")
    assert (dmarc["state"], dmarc["found"], dmarc["type"]) == ("differs", ["v=DMARC1; p=rejct"], "TXT")
    said = told.getvalue()
    assert "acme.io: Amazon doesn’t know this domain: Register it" in said
    assert "DMARC  _dmarc.acme.io  TXT  v=DMARC1; p=none; rua=mailto:dmarc@acme.io\n" in said
    assert "Differs (v=DMARC1; p=rejct)." in said
    assert "SPF of the domain" not in said  # it is in order
