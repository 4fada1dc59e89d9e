"""docs/adding-a-provider.md, carried out: a folder and one line, and everything else follows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from time import time

import pytest
from django.core.management import call_command
from django.test import Client

from delivery.engine import process
from delivery.engine.process import engine_loop
from delivery.models import Message, MessageState, SendingAccount
from delivery.providers.registry import FACTORIES
from delivery.services.events import process_inbox
from delivery.services.providers import forget_providers
from organizations.models import Member, Role, User
from subscribers.models import Suppression
from tests.campaigns.test_pages import text
from tests.delivery.engine.world import World
from tests.delivery.providers.pigeon import LOFTS


@pytest.fixture
def pigeons(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str, str]]]:
    monkeypatch.setitem(FACTORIES, "pigeon", "tests.delivery.providers.pigeon:PigeonProvider")  # the one line
    monkeypatch.setenv("WHISTLE", "tweet")
    monkeypatch.setattr("webhooks.accounts.wake_processor", lambda: None)
    LOFTS.clear()
    yield LOFTS.setdefault("tower", [])
    if process._loop is not None:
        process._loop.close()
        process._loop = None
    forget_providers()


def test_a_new_provider_is_connected_sends_and_reports(world: World, pigeons: list[tuple[str, str, str]]) -> None:
    user = User.objects.create_user("owner@acme.example")
    Member.objects.create(organization=world.organization, user=user, role=Role.OWNER)
    client = Client()
    client.force_login(user)
    assert "Carrier pigeons" in text(client.get("/admin/account/connect/"))
    assert "Where they live." in text(client.get("/admin/account/connect/pigeon/"))
    out = StringIO()
    given = ["--organization", world.organization.name, "--provider", "pigeon", "--set", "loft=tower"]
    call_command("connect_account", *given, "--secret", "whistle=WHISTLE", "--rate", "90000", stdout=out)
    world.account = SendingAccount.objects.get(provider="pigeon")
    assert out.getvalue() == f"{world.account.pk}  pigeon (pigeon): connected\n"
    assert "The service answers" in text(client.get(f"/admin/account/{world.account.pk}/"))
    world.add_people(30)
    mailout = world.launch()

    while engine_loop().run_slice(slots=1, seconds=10):
        pass

    assert sorted(address for address, _, _ in pigeons) == sorted(f"p{n}@example.com" for n in range(30))
    assert ("p4@example.com", "Hello Name 4") in {letter[:2] for letter in pigeons}
    messages = Message.objects.filter(mailout_id=mailout.pk)
    assert messages.filter(state=MessageState.SENT, provider_id__startswith="pigeon-").count() == 30

    address, _, tag = pigeons[0]
    report = json.dumps([{"ring": 1, "what": "bounced", "at": int(time()), "letter": tag, "to": address}])
    statuses = [
        client.post(
            f"/webhooks/account/{world.account.pk}/",
            body,
            content_type="application/json",
            headers={"X-Whistle": whistle},
        ).status_code
        for body, whistle in ((report, "wrong"), ("[]x", "tweet"), (report, "tweet"), (report, "tweet"))
    ]
    assert statuses == [403, 400, 200, 200]
    assert process_inbox() == 1
    assert messages.filter(bounced_at__isnull=False).count() == 1
    assert Suppression.objects.get().address_key == address
