"""The command that lets a restored or moved database send again."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

from django.core.management import call_command
from pytest_django import Settings

from delivery.engine.database import Connection
from delivery.engine.home import check_home
from delivery.models import AccountPace, EngineHome, MailoutState, ParkReason
from tests.delivery.engine.world import World
from tests.factories import AccountFactory

COPY = "the database is a copy or was restored into another cluster"


def run(*arguments: str) -> tuple[str, int]:
    out = StringIO()
    try:
        call_command("confirm_home", *arguments, stdout=out)
    except SystemExit as end:
        return out.getvalue(), int(end.code or 0)
    return out.getvalue(), 0


def answer(*arguments: str) -> tuple[dict[str, Any], int]:
    text, code = run(*arguments, "--format", "json")
    return json.loads(text), code


def parked() -> set[str]:
    return set(AccountPace.objects.values_list("parked_reason", flat=True))


def test_at_home_there_is_nothing_to_confirm(raw: Connection) -> None:
    AccountFactory.create(pace__parked_reason=ParkReason.PAUSED)

    assert run("--yes") == ("This database is at home: nothing to confirm.\n", 0)
    assert answer() == ({"is_home": True, "differences": [], "parked_accounts": 0, "under_way": []}, 0)
    assert parked() == {ParkReason.PAUSED}


def test_without_yes_it_says_what_differs_and_who_would_be_mailed_and_changes_nothing(
    world: World, raw: Connection
) -> None:
    world.add_people(3)
    check_home(raw)
    mailout = world.launch()
    EngineHome.objects.update(system_identifier=1)

    text, code = run()
    data, json_code = answer()

    assert (code, json_code) == (1, 1)
    assert text.startswith("The database is a copy or was restored into another cluster.\n1 sending accounts wait.\n")
    assert f"  {mailout.pk}  sending             3 waiting  {mailout.name}\n" in text
    assert text.endswith("If this is the one database that may send: manage.py confirm_home --yes\n")
    assert data["is_home"] is False
    assert data["differences"] == [COPY]
    assert data["under_way"] == [
        {
            "mailout_id": mailout.pk,
            "organization": mailout.organization.name,
            "name": mailout.name,
            "state": MailoutState.SENDING,
            "waiting": 3,
        }
    ]
    assert parked() == {ParkReason.HOME}
    assert EngineHome.objects.get().system_identifier == 1


def test_with_yes_the_accounts_go_on(raw: Connection, settings: Settings) -> None:
    AccountFactory.create()
    AccountFactory.create()
    check_home(raw)
    settings.PUBLIC_URL = "https://mail.example.com"

    text, code = run("--yes")

    assert code == 0
    assert text == (
        "PUBLIC_URL is https://mail.example.com, not http://testserver.\n"
        "Confirmed: 2 sending accounts may send again.\n"
    )
    assert parked() == {""}
    assert EngineHome.objects.get().public_url == "https://mail.example.com"
    assert check_home(raw) == ""


def test_back_at_home_the_accounts_still_wait_for_a_yes(raw: Connection, settings: Settings) -> None:
    AccountFactory.create()
    check_home(raw)
    settings.PUBLIC_URL = "https://staging.example.com"
    check_home(raw)
    settings.PUBLIC_URL = "http://testserver"

    waiting, code = run()
    confirmed, confirmed_code = answer("--yes")

    assert code == 1
    assert waiting.startswith("What differed before is as it was again.\n1 sending accounts wait.\n")
    assert confirmed_code == 0
    assert confirmed == {"is_home": True, "differences": [], "parked_accounts": 1, "under_way": []}
    assert parked() == {""}
