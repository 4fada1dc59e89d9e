"""Messages of a mailout, each one's history, and the export."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest
from django.utils import timezone

from amazonsender.core.errors import NotFound
from delivery.engine.database import Connection
from delivery.engine.ticking import tick
from delivery.models import (
    DeliveryEvent,
    EventType,
    ExclusionReason,
    Mailout,
    Message,
    MessageState,
    Verdict,
)
from delivery.selectors import messages
from delivery.selectors.mailouts import list_mailouts, own_accounts, pace_of
from delivery.selectors.messages import (
    export_messages,
    inert_cell,
    list_messages,
    message_history,
    subscriber_messages,
)
from delivery.services.trial import send_test
from subscribers.models import Subscriber
from tests.delivery.engine.world import World
from tests.factories import AccountFactory, OrganizationFactory


def exported(mailout: Mailout) -> list[list[str]]:
    text = b"".join(export_messages(mailout)).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline="")))


def test_messages_are_listed_by_number_page_by_page_and_by_state(world: World) -> None:
    world.add_people(7)
    world.add_people(2, start=50, status="bounced")
    mailout = world.launch()

    first = list_messages(mailout=mailout, limit=5)
    rest = list_messages(mailout=mailout, after_n=5, limit=5)
    excluded = list_messages(mailout=mailout, state=MessageState.EXCLUDED)

    assert [row.n for row in first + rest] == list(range(1, 10))
    assert (first[0].address, first[0].name, first[0].state) == ("p0@example.com", "Name 0", MessageState.QUEUED)
    assert (first[0].error, first[0].provider_id, first[0].sent_at) == ("", "", None)
    assert [(row.n, row.reason) for row in excluded] == [(8, ExclusionReason.BOUNCED), (9, ExclusionReason.BOUNCED)]


def test_a_test_send_shows_its_addresses(world: World) -> None:
    mailout = send_test(
        organization=world.organization,
        account=world.account,
        compiled=world.compiled,
        recipients=["one@acme.example"],
        preview_subscriber=None,
        name="Test",
        sender="News <news@example.com>",
    )

    (row,) = list_messages(mailout=mailout)

    assert (row.address, row.name, row.subscriber_id) == ("one@acme.example", "", 0)


def test_a_history_is_one_message_and_its_events_oldest_first(world: World, raw: Connection) -> None:
    person = world.add_person("ana")
    mailout = world.launch()
    world.run()
    now = timezone.now()
    for number, (type_, minutes) in enumerate(((EventType.CLICKED, 2), (EventType.DELIVERED, 0)), start=1):
        DeliveryEvent.objects.create(
            mailout_id=mailout.pk,
            n=1,
            at=now + timedelta(minutes=minutes),
            type=type_,
            id=number,
            link_no=3 if type_ == EventType.CLICKED else None,
            verdict=Verdict.HUMAN if type_ == EventType.CLICKED else Verdict.UNJUDGED,
            detail={"agent": "x"} if type_ == EventType.CLICKED else None,
        )

    row, history = message_history(organization=world.organization, mailout_id=mailout.pk, n=1)

    assert (row.subscriber_id, row.state, row.attempt) == (person.pk, MessageState.SENT, 0)
    assert [(entry.type, entry.verdict, entry.link_no, entry.detail) for entry in history] == [
        (EventType.DELIVERED, Verdict.UNJUDGED, None, {}),
        (EventType.CLICKED, Verdict.HUMAN, 3, {"agent": "x"}),
    ]


@pytest.mark.parametrize("case", ["foreign", "no mailout", "no message"])
def test_what_is_not_there_or_not_ours_is_not_found(world: World, case: str) -> None:
    world.add_people(1)
    mailout = world.launch()
    organization = OrganizationFactory.create() if case == "foreign" else world.organization
    mailout_id = 1 if case == "no mailout" else mailout.pk

    with pytest.raises(NotFound):
        message_history(organization=organization, mailout_id=mailout_id, n=2 if case == "no message" else 1)


def test_a_person_s_messages_are_the_newest_first_and_of_one_organization(world: World) -> None:
    person = world.add_person("ana")
    world.add_person("ben")
    mailouts = [world.launch(f"campaign:{number}") for number in range(3)]

    found = subscriber_messages(organization=world.organization, subscriber_id=person.pk, limit=2)

    assert [row.mailout_id for row in found] == [mailouts[2].pk, mailouts[1].pk]
    assert {row.address for row in found} == {"ana@example.com"}
    assert subscriber_messages(organization=OrganizationFactory.create(), subscriber_id=person.pk) == []


def test_an_export_says_everybody_s_fate(world: World, raw: Connection) -> None:
    world.add_people(2)
    world.add_person("left", status="unsubscribed")
    gone = world.add_person("gone")
    mailout = world.launch()
    Subscriber.objects.filter(pk=gone.pk).delete()
    world.run()
    tick(raw, slots=2)
    sent_at = Message.objects.get(n=1).sent_at
    assert sent_at is not None

    rows = exported(mailout)

    assert rows[0] == ["email", "status", "error_message", "message_id", "sent_at"]
    assert rows[1][:3] == ["p0@example.com", "sent", ""]
    assert rows[1][3].startswith("id-")
    assert rows[1][4] == sent_at.isoformat(timespec="seconds")
    assert rows[3] == ["", "excluded: erased", "", "", ""]
    assert rows[4] == ["left@example.com", "excluded: unsubscribed", "", "", ""]


def test_no_cell_of_an_export_is_a_formula(world: World, raw: Connection) -> None:
    person = world.add_person("x")
    Subscriber.objects.filter(pk=person.pk).update(email="=cmd|' /C calc'!A0@example.com")
    mailout = world.launch()
    raw.execute("UPDATE delivery_message SET state = 3, error = '@SUM(1,2)'")

    rows = exported(mailout)

    assert rows[1][:3] == ["'=cmd|' /C calc'!A0@example.com", "failed", "'@SUM(1,2)"]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@x", "'@x"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("plain", "plain"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_a_cell_that_a_spreadsheet_would_run_is_made_text(value: str, cell: str) -> None:
    assert inert_cell(value) == cell


def test_an_export_comes_in_chunks_of_bounded_size(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "EXPORT_CHUNK", 4)
    world.add_people(10)
    mailout = world.launch()

    chunks = list(export_messages(mailout))

    assert chunks[0].startswith(b"\xef\xbb\xbfemail,")
    assert [chunk.count(b"\r\n") for chunk in chunks] == [1, 4, 4, 2]
    assert b"\xef\xbb\xbf" not in b"".join(chunks[1:])
    assert len(exported(mailout)) == 11


def test_mailouts_are_listed_newest_first_page_by_page(world: World) -> None:
    world.add_people(1)
    made = [world.launch(f"campaign:{number}") for number in range(5)]

    first = list_mailouts(world.organization, limit=3)
    second = list_mailouts(world.organization, before=first.older_than, limit=3)

    assert [mailout.pk for mailout in first.mailouts] == [made[4].pk, made[3].pk, made[2].pk]
    assert first.older_than == made[2].pk
    assert [mailout.pk for mailout in second.mailouts] == [made[1].pk, made[0].pk]
    assert second.older_than == 0
    assert list_mailouts(OrganizationFactory.create()).mailouts == []


def test_an_organization_looks_after_its_own_accounts(world: World) -> None:
    AccountFactory.create()
    second = AccountFactory.create(organization=world.organization)

    assert own_accounts(world.organization) == [world.account, second]
    pace = pace_of(world.account)
    assert pace is not None
    assert pace.account_id == world.account.pk
    pace.delete()
    assert pace_of(world.account) is None
