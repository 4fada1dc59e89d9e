"""Pilots: many people never mailed before wait until some of them have not bounced."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from delivery.engine.braking import apply_brakes, move_pilots, pause_for_sender
from delivery.engine.database import Connection
from delivery.engine.ticking import tick
from delivery.models import BatchState, EventType, Mailout, MailoutState, MessageBatch, StatEmail, StateReason
from delivery.selectors.progress import mailout_account, mailout_progress
from delivery.services import launching
from delivery.services.controlling import cancel_mailout, pause_mailout, resume_mailout
from subscribers.models import Engagement
from tests.delivery.engine.world import HeldRunner, World


@pytest.fixture(autouse=True)
def batches_of_ten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "BATCH_SIZE", 10)


def prepare_pilot(world: World, *, threshold: int = 20, size: int = 10) -> None:
    world.account.pilot_threshold, world.account.pilot_size, world.account.pilot_wait_seconds = threshold, size, 60
    world.account.save()


def launch_pilot(world: World, *, threshold: int = 20, size: int = 10, people: int = 25) -> Mailout:
    prepare_pilot(world, threshold=threshold, size=size)
    world.add_people(people)
    return world.launch()


def test_many_people_never_mailed_before_wait_for_a_pilot(world: World, raw: Connection) -> None:
    mailout = launch_pilot(world)

    assert mailout.state_reason == StateReason.PILOT
    assert list(MessageBatch.objects.order_by("lo").values_list("state", flat=True)) == [0, 3, 3]
    world.run()
    move_pilots(raw)
    move_pilots(raw)

    mailout.refresh_from_db()
    assert sum(world.provider.handed_over.values()) == 10
    assert mailout.pilot_until is not None
    assert 50 < (mailout.pilot_until - timezone.now()).total_seconds() <= 60
    tick(raw, slots=2)
    assert mailout_progress(mailout).state == MailoutState.SENDING

    Mailout.objects.update(pilot_until=timezone.now())
    tick(raw, slots=2)
    world.run()
    tick(raw, slots=2)

    progress = mailout_progress(mailout)
    assert (progress.sent, progress.state, progress.state_reason) == (25, MailoutState.FINISHED, "")
    assert set(world.provider.handed_over.values()) == {1}


@pytest.mark.parametrize("size", [4, 9, 10, 11, 20])
def test_a_pilot_has_exactly_as_many_people_as_the_account_says(world: World, raw: Connection, size: int) -> None:
    mailout = launch_pilot(world, size=size)

    world.run()

    assert sum(world.provider.handed_over.values()) == size
    move_pilots(raw)
    Mailout.objects.update(pilot_until=timezone.now())
    tick(raw, slots=2)
    world.run()
    tick(raw, slots=2)
    assert mailout_progress(mailout).sent == 25
    assert set(world.provider.handed_over.values()) == {1}


def test_a_pilot_whose_calls_are_still_out_does_not_start_its_wait(world: World, raw: Connection) -> None:
    mailout = launch_pilot(world)
    held = HeldRunner(world)
    held.arm(raw)

    move_pilots(raw)

    mailout.refresh_from_db()
    assert mailout.pilot_until is None
    held.gate.set()


def test_a_braked_pilot_goes_no_further_until_somebody_decides(
    world: World, raw: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "BATCH_SIZE", 200)
    mailout = launch_pilot(world, threshold=200, size=200, people=250)
    world.run()
    move_pilots(raw)
    StatEmail.objects.create(mailout_id=mailout.pk, email_no=0, type=EventType.BOUNCED, total=10, uniq=10)

    assert apply_brakes(raw) == [mailout.pk]
    Mailout.objects.update(pilot_until=timezone.now() - timedelta(seconds=1))
    tick(raw, slots=2)
    world.run(seconds=1)
    mailout.refresh_from_db()
    assert (mailout.state, mailout.state_reason) == (MailoutState.PAUSED, StateReason.BOUNCES)
    assert sum(world.provider.handed_over.values()) == 200

    resume_mailout(mailout=mailout)
    assert apply_brakes(raw) == []
    world.run()
    tick(raw, slots=2)
    assert mailout_progress(mailout).sent == 250


@pytest.mark.parametrize("is_wait_over", [False, True])
def test_a_pilot_paused_by_hand_goes_on_as_a_pilot(world: World, raw: Connection, is_wait_over: bool) -> None:
    mailout = launch_pilot(world)
    world.run()
    move_pilots(raw)
    pause_mailout(mailout=mailout)
    if is_wait_over:
        Mailout.objects.update(pilot_until=timezone.now())

    resume_mailout(mailout=mailout)

    assert (mailout.state, mailout.state_reason) == (MailoutState.SENDING, StateReason.PILOT)
    assert Mailout.objects.get().lifted_brakes == []
    world.run(seconds=1)
    assert sum(world.provider.handed_over.values()) == 10
    tick(raw, slots=2)
    world.run(seconds=1)
    assert sum(world.provider.handed_over.values()) == (25 if is_wait_over else 10)


def test_a_pilot_paused_for_its_sender_goes_on_as_a_pilot(world: World, raw: Connection) -> None:
    mailout = launch_pilot(world)
    assert pause_for_sender(raw, world.account.pk, mailout.pk) == [mailout.pk]
    assert pause_for_sender(raw, world.account.pk, mailout.pk) == []  # a second refusal finds it paused

    resume_mailout(mailout=mailout)

    assert (mailout.state_reason, mailout.lifted_brakes) == (StateReason.PILOT, [])
    world.run(seconds=1)
    assert sum(world.provider.handed_over.values()) == 10


def test_a_pilot_can_be_stopped_and_who_was_held_back_is_cancelled(world: World, raw: Connection) -> None:
    mailout = launch_pilot(world)
    world.run()

    cancel_mailout(mailout=mailout)
    tick(raw, slots=2)

    account = mailout_account(mailout)
    assert (account.states["sent"], account.states["cancelled"]) == (10, 15)
    assert mailout_progress(mailout).state == MailoutState.CANCELLED


def test_people_who_were_mailed_before_need_no_pilot(world: World) -> None:
    prepare_pilot(world)
    people = world.add_people(25)
    Engagement.objects.bulk_create(Engagement(subscriber=person) for person in people[:5])

    mailout = world.launch()

    assert mailout.state_reason == ""
    assert set(MessageBatch.objects.values_list("state", flat=True)) == {BatchState.READY}


def test_an_audience_at_the_threshold_needs_no_pilot(world: World) -> None:
    prepare_pilot(world, threshold=25)
    world.add_people(25)

    assert world.launch().state_reason == ""
