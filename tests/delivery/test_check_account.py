"""The command tells what the account page tells."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import call_command
from django.utils import timezone

from tests.factories import AccountFactory


@pytest.mark.django_db
def test_check_account_tells_each_point_and_the_step_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("delivery.management.commands.check_account.check_account", lambda *, account: account)
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
