"""Test sends."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import Settings

from amazonsender.core.errors import InvalidInput, NotFound
from delivery.engine.database import Connection
from delivery.engine.ticking import tick
from delivery.models import Lane, Mailout, MailoutKind, Message, MessageAddress, MessageState
from delivery.providers.base import CallResult, Entry
from delivery.selectors.progress import mailout_account, mailout_progress
from delivery.services.trial import MOST_RECIPIENTS, occurrence_of, send_test
from subscribers.models import Subscriber
from tests.delivery.engine.world import World, accept, make_world
from tests.factories import OrganizationFactory


def send(world: World, *recipients: str, person: Subscriber | None = None, **options: Any) -> Mailout:
    return send_test(
        organization=world.organization,
        recipients=recipients,
        preview_subscriber=person,
        name="Test: Letter",
        sender="News <news@example.com>",
        **({"account": world.account, "compiled": world.compiled} | options),
    )


def test_a_test_goes_to_people_who_are_no_subscribers_with_the_data_of_a_chosen_one(
    world: World, raw: Connection
) -> None:
    person = world.add_person("ana", first_name="Ana")
    values: list[dict[str, str]] = []

    def look(entries: list[Entry]) -> CallResult:
        values.extend(entry.values for entry in entries)
        return accept(entries)

    world.provider.answer = look

    mailout = send(world, "One@Acme.Example", "two@bücher.example", person=person)
    world.run()
    tick(raw, slots=2)

    assert world.provider.handed_over == {"One@acme.example": 1, "two@xn--bcher-kva.example": 1}
    assert all("Ana" in shown.values() for shown in values)
    assert len(values) == 2
    assert (mailout.kind, mailout.lane, mailout.counts_in_statistics) == (MailoutKind.TEST, Lane.TRANSACTIONAL, False)
    rows = Message.objects.filter(mailout_id=mailout.pk).order_by("n").values_list("subscriber_id", "occurrence")
    assert list(rows) == [(0, occurrence_of("One@acme.example")), (0, occurrence_of("two@xn--bcher-kva.example"))]
    progress = mailout_progress(mailout)
    assert (progress.candidates, progress.sent, progress.state) == (2, 2, "finished")


def test_without_a_chosen_subscriber_the_places_stay_empty(world: World) -> None:
    values: list[dict[str, str]] = []

    def look(entries: list[Entry]) -> CallResult:
        values.extend(entry.values for entry in entries)
        return accept(entries)

    world.provider.answer = look

    send(world, "one@acme.example")
    world.run()

    assert world.provider.handed_over == {"one@acme.example": 1}
    assert "one@acme.example" not in values[0].values()


def test_a_test_may_be_repeated_and_also_goes_to_people_who_left(world: World, raw: Connection) -> None:
    world.add_person("left", status="unsubscribed")

    first, second = send(world, "left@example.com"), send(world, "left@example.com")
    world.run()
    tick(raw, slots=2)

    assert first.pk != second.pk
    assert world.provider.handed_over == {"left@example.com": 2}


def test_one_address_written_twice_gets_one(world: World) -> None:
    mailout = send(world, "one@acme.example", " ONE@ACME.example ", "two@acme.example")

    addresses = MessageAddress.objects.filter(mailout_id=mailout.pk).order_by("n").values_list("address", flat=True)
    assert list(addresses) == ["one@acme.example", "two@acme.example"]
    assert mailout.candidates == 2


@pytest.mark.parametrize(
    ("recipients", "message"),
    [
        ((), "Name at least one test recipient."),
        (("no address",), r"no address: There is no @ in it\."),
        (("ok@acme.example", "a@b@c"), "a@b@c: "),
        (tuple(f"p{number}@acme.example" for number in range(MOST_RECIPIENTS + 1)), "at most 50 people"),
    ],
)
def test_a_test_that_cannot_go_is_refused_and_leaves_nothing(
    world: World, recipients: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        send(world, *recipients)

    assert Mailout.objects.count() == Message.objects.count() == MessageAddress.objects.count() == 0


def test_a_test_needs_an_account_unless_everything_is_simulated(
    world: World, raw: Connection, settings: Settings
) -> None:
    with pytest.raises(InvalidInput, match="Choose a sending account"):
        send(world, "one@acme.example", account=None)

    settings.SENDING_MODE = "dry_run"
    mailout = send(world, "one@acme.example", account=None)
    world.run()
    tick(raw, slots=2)

    assert (mailout.account, mailout.is_dry_run) == (None, True)
    assert world.provider.handed_over == {}
    assert mailout_account(mailout).states["simulated"] == 1


def test_an_author_s_error_on_the_shown_person_s_data_fails_that_message(world: World, raw: Connection) -> None:
    world.write_for_divisors()
    person = world.add_person("ana", attributes={"parts": 0})

    mailout = send(world, "one@acme.example", person=person)
    world.run()
    tick(raw, slots=2)

    message = Message.objects.get(mailout_id=mailout.pk)
    assert message.state == MessageState.FAILED
    assert message.error == "render: divided_by: can't divide by 0"
    assert mailout_progress(mailout).failed == 1


@pytest.mark.parametrize("foreign", ["account", "email", "person"])
def test_nothing_of_another_organization_gets_into_a_test(world: World, foreign: str) -> None:
    other = make_world(OrganizationFactory.create())
    stranger = other.add_person("stranger")
    choices: dict[str, dict[str, Any]] = {
        "account": {"account": other.account},
        "email": {"compiled": other.compiled},
        "person": {"person": stranger},
    }

    with pytest.raises(NotFound):
        send(world, "one@example.com", **choices[foreign])

    assert (Mailout.objects.count(), MessageAddress.objects.count()) == (0, 0)
