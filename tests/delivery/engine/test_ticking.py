"""What happens every second: reaping, braking, finishing, waking."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from delivery.engine import reaping
from delivery.engine.braking import apply_brakes
from delivery.engine.claiming import claim_batch
from delivery.engine.database import Connection, database_now, open_connection
from delivery.engine.finishing import cancel_waiting, finish_mailouts
from delivery.engine.reaping import reap
from delivery.engine.ticking import tick
from delivery.models import (
    BatchState,
    CallState,
    EventType,
    Mailout,
    MailoutState,
    Message,
    MessageBatch,
    MessageState,
    SendCall,
    StatEmail,
    StateReason,
)
from delivery.selectors.progress import mailout_account, mailout_progress
from delivery.services.controlling import resume_mailout
from tests.delivery.engine.world import HeldRunner, World
from tests.factories import MailoutFactory


def expire(raw: Connection) -> None:
    raw.execute("UPDATE delivery_message_batch SET lease_until = clock_timestamp() - interval '1 s' WHERE state = 1")


# reaping


def test_an_expired_batch_without_calls_goes_on_with_a_new_claim(world: World, raw: Connection) -> None:
    world.add_people(10)
    world.launch()
    claim_batch(raw, world.account.pk, turn=0)
    expire(raw)

    assert reap(raw) == 0

    batch = MessageBatch.objects.get()
    assert (batch.state, batch.claim, batch.lease_until, batch.unknown) == (BatchState.READY, 2, None, 0)


def test_an_expired_batch_that_was_armed_to_its_end_is_done(world: World, raw: Connection) -> None:
    world.add_people(10)
    mailout = world.launch()
    HeldRunner(world).arm(raw)
    expire(raw)

    assert reap(raw) == 10

    batch = MessageBatch.objects.get()
    assert (batch.state, batch.open_calls, batch.unknown) == (BatchState.DONE, 0, 10)
    message = Message.objects.filter(mailout_id=mailout.pk).first()
    assert message is not None
    assert message.error == "no answer: the worker was lost while the call was out"
    assert SendCall.objects.get().state == CallState.LOST


def test_an_expired_retry_batch_loses_the_members_of_its_call_alone(world: World, raw: Connection) -> None:
    world.add_people(5)
    mailout = world.launch()
    MessageBatch.objects.update(members=[2, 4], lo=0, hi=2, armed_to=0)
    HeldRunner(world).arm(raw)
    expire(raw)

    assert reap(raw) == 2

    unknown = Message.objects.filter(mailout_id=mailout.pk, state=MessageState.UNKNOWN).order_by("n")
    assert list(unknown.values_list("n", flat=True)) == [2, 4]


def test_a_batch_that_comes_back_to_life_while_it_is_reaped_keeps_its_calls(
    world: World, raw: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add_people(10)
    mailout = world.launch()
    HeldRunner(world).arm(raw)
    expire(raw)
    renewed = reaping._FREE.replace("lease_until < clock_timestamp()", "false")  # renewed between the two statements
    monkeypatch.setattr(reaping, "_FREE", renewed)

    assert reap(raw) == 0

    assert SendCall.objects.get().state == CallState.ARMED
    assert Message.objects.filter(mailout_id=mailout.pk, state=MessageState.QUEUED).count() == 10
    assert MessageBatch.objects.get().claim == 1


def test_two_reapers_at_once_count_everybody_once(world: World, raw: Connection) -> None:
    world.add_people(40)
    mailout = world.launch()
    HeldRunner(world).arm(raw)
    expire(raw)
    counts: list[int] = []
    with open_connection() as second:
        threads = [threading.Thread(target=lambda c=c: counts.append(reap(c))) for c in (raw, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sum(counts) == 40
    assert MessageBatch.objects.get().unknown == 40
    assert MessageBatch.objects.get().claim == 2
    assert mailout_progress(mailout).unknown == 40


# braking


def sent_mailout(*, sent: int, failed: int = 0, bounced: int = 0, complained: int = 0, **fields: Any) -> Mailout:
    mailout: Mailout = MailoutFactory.create(**fields)
    half = sent // 2
    for count in (half, sent - half):  # rates are over all batches
        MessageBatch.objects.create(
            mailout_id=mailout.pk,
            account_id=0,
            organization_id=mailout.organization_id,
            lane=2,
            email_no=0,
            lo=1,
            hi=2,
            armed_to=2,
            state=BatchState.DONE,
            due_at=timezone.now(),
            sent=count,
            failed=failed if count != half or sent == 0 else 0,
        )
    for type_, count in ((EventType.BOUNCED, bounced), (EventType.COMPLAINED, complained)):
        StatEmail.objects.create(mailout_id=mailout.pk, email_no=0, type=type_, total=count * 2, uniq=count)
    return mailout


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ({"sent": 1001, "bounced": 51}, StateReason.BOUNCES),
        ({"sent": 1001, "bounced": 50}, None),
        ({"sent": 200, "bounced": 10}, StateReason.BOUNCES),
        ({"sent": 199, "bounced": 199}, None),  # too few to say
        ({"sent": 2001, "complained": 7}, StateReason.COMPLAINTS),
        ({"sent": 2001, "complained": 6}, None),
        ({"sent": 201, "complained": 3}, StateReason.COMPLAINTS),
        ({"sent": 201, "complained": 2}, None),  # one or two complaints happen to everybody
        ({"sent": 801, "failed": 201}, StateReason.ERRORS),
        ({"sent": 801, "failed": 200}, None),
        ({"sent": 1001, "bounced": 51, "complained": 10}, StateReason.BOUNCES),
    ],
)
def test_a_mailout_that_does_harm_stops_and_says_why(
    raw: Connection, numbers: dict[str, int], reason: StateReason | None
) -> None:
    mailout = sent_mailout(**numbers)

    assert apply_brakes(raw) == ([mailout.pk] if reason else [])

    mailout.refresh_from_db()
    expected = (MailoutState.PAUSED, reason) if reason else (MailoutState.SENDING, "")
    assert (mailout.state, mailout.state_reason) == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "test"},
        {"is_dry_run": True},
        {"lifted_brakes": ["bounces"]},
        {"state": "paused"},
        {"state": "cancelling"},
        {"finished_at": timezone.now(), "state": "finished"},
    ],
)
def test_what_cannot_or_must_not_be_braked_is_left_alone(raw: Connection, fields: dict[str, Any]) -> None:
    mailout = sent_mailout(sent=1000, bounced=900, **fields)
    before = Mailout.objects.values().get(pk=mailout.pk)

    assert apply_brakes(raw) == []

    assert Mailout.objects.values().get(pk=mailout.pk) == before


def test_a_brake_that_somebody_lifted_stays_lifted(raw: Connection) -> None:
    mailout = sent_mailout(sent=1000, bounced=900)
    assert apply_brakes(raw) == [mailout.pk]
    mailout.refresh_from_db()

    resume_mailout(mailout=mailout)

    assert apply_brakes(raw) == []
    mailout.refresh_from_db()
    assert (mailout.state, mailout.state_reason, mailout.lifted_brakes) == (MailoutState.SENDING, "", ["bounces"])


def test_who_lifts_one_brake_lifts_no_other(raw: Connection) -> None:
    mailout = sent_mailout(sent=1001, bounced=900, failed=900)
    for reason in (StateReason.BOUNCES, StateReason.ERRORS):
        assert apply_brakes(raw) == [mailout.pk]
        mailout.refresh_from_db()
        assert mailout.state_reason == reason
        resume_mailout(mailout=mailout)
    StatEmail.objects.filter(type=EventType.COMPLAINED).update(uniq=50)

    assert apply_brakes(raw) == [mailout.pk]

    mailout.refresh_from_db()
    assert (mailout.state, mailout.state_reason) == (MailoutState.PAUSED, StateReason.COMPLAINTS)
    assert mailout.lifted_brakes == [StateReason.BOUNCES, StateReason.ERRORS]


def test_a_brake_that_is_lifted_while_a_tick_looks_does_not_pull(raw: Connection) -> None:
    mailout = sent_mailout(sent=1000, bounced=900)

    class Racing:
        """Another tick brakes and somebody goes on, between the look and the act."""

        def execute(self, sql: str, *params: Any) -> Any:
            if sql.lstrip().startswith("UPDATE"):
                Mailout.objects.update(state="paused", state_reason="bounces")
                resume_mailout(mailout=mailout)
            return raw.execute(sql, *params)

    assert apply_brakes(Racing()) == []  # type: ignore[arg-type]

    mailout.refresh_from_db()
    assert mailout.state == MailoutState.SENDING


def test_a_mailout_that_somebody_paused_at_the_same_moment_is_not_braked(raw: Connection) -> None:
    mailout = sent_mailout(sent=1000, bounced=900)

    class Racing:
        """Somebody pauses between the look and the act."""

        def execute(self, sql: str, *params: Any) -> Any:
            if sql.lstrip().startswith("UPDATE"):
                Mailout.objects.update(state="paused", state_reason="by_hand")
            return raw.execute(sql, *params)

    assert apply_brakes(Racing()) == []  # type: ignore[arg-type]

    mailout.refresh_from_db()
    assert mailout.state_reason == StateReason.BY_HAND


# finishing


def test_a_mailout_with_an_open_batch_or_an_armed_call_is_not_finished(world: World, raw: Connection) -> None:
    world.add_people(10)
    mailout = world.launch()
    assert finish_mailouts(raw) == []

    held = HeldRunner(world)
    held.arm(raw)
    MessageBatch.objects.update(state=BatchState.DONE)
    assert finish_mailouts(raw) == []

    held.come_back(1)
    held.settle(raw)
    assert finish_mailouts(raw) == [mailout.pk]


def test_two_ticks_finish_a_mailout_once(world: World, raw: Connection) -> None:
    world.add_people(200)
    mailout = world.launch()
    world.run()
    finished: list[int] = []
    with open_connection() as second:
        threads = [threading.Thread(target=lambda c=c: finished.extend(finish_mailouts(c))) for c in (raw, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert finished == [mailout.pk]


def test_a_mailout_whose_row_somebody_holds_is_finished_by_a_later_tick(world: World, raw: Connection) -> None:
    world.add_people(1)
    mailout = world.launch()
    world.run()
    with open_connection() as other, other.transaction():
        other.execute("SELECT 1 FROM delivery_mailout WHERE id = %s FOR UPDATE", [mailout.pk])
        assert finish_mailouts(raw) == []

    assert finish_mailouts(raw) == [mailout.pk]


def test_strays_of_different_attempts_are_packed_apart_and_held_people_too(world: World, raw: Connection) -> None:
    world.add_people(6)
    mailout = world.launch()
    MessageBatch.objects.all().delete()
    raw.execute("UPDATE delivery_message SET attempt = 2 WHERE n IN (2, 5)")

    finish_mailouts(raw)

    packed = MessageBatch.objects.order_by("attempt").values_list("members", "attempt", "armed_to", "hi")
    assert list(packed) == [([1, 3, 4, 6], 0, 0, 4), ([2, 5], 2, 0, 2)]
    world.run()
    tick(raw, slots=2)
    assert mailout_progress(mailout).sent == 6
    assert set(world.provider.handed_over.values()) == {1}


def test_an_event_that_moves_a_settled_message_has_the_account_counted_again(world: World, raw: Connection) -> None:
    world.add_people(3)
    mailout = world.launch()
    world.run()
    tick(raw, slots=2)
    raw.execute("UPDATE delivery_message SET state = 3 WHERE n = 2")
    tick(raw, slots=2)
    mailout.refresh_from_db()
    assert mailout_account(mailout).states["sent"] == 3

    Mailout.objects.update(is_account_stale=True)
    tick(raw, slots=2)

    mailout.refresh_from_db()
    account = mailout_account(mailout)
    assert (account.states["sent"], account.states["failed"]) == (2, 1)
    assert not mailout.is_account_stale
    assert mailout_progress(mailout).failed == 1


def test_cancelling_goes_batch_by_batch_and_leaves_armed_people(world: World, raw: Connection) -> None:
    world.add_people(2500)
    mailout = world.launch()
    held = HeldRunner(world)
    held.arm(raw)
    first = MessageBatch.objects.order_by("lo").first()
    assert first is not None
    MessageBatch.objects.filter(pk=first.pk).update(state=BatchState.READY)

    assert cancel_waiting(raw, mailout.pk) == 3
    assert cancel_waiting(raw, mailout.pk) == 0

    cancelled = Message.objects.filter(mailout_id=mailout.pk, state=MessageState.CANCELLED).order_by("n")
    assert list(cancelled.values_list("n", flat=True)) == list(range(first.armed_to, 2501))
    assert list(MessageBatch.objects.order_by("lo").values_list("cancelled", flat=True)) == [
        1001 - first.armed_to,
        1000,
        500,
    ]
    held.gate.set()


# waking


def test_a_tick_wakes_as_many_loops_as_there_are_free_slots_and_none_without_work(
    world: World, raw: Connection
) -> None:
    assert tick(raw, slots=3) == 0
    world.add_people(1)
    world.launch()
    assert tick(raw, slots=3) == 3

    raw.execute(
        "INSERT INTO delivery_engine_slot (n, lease_until) VALUES (1, clock_timestamp() + interval '1 min'), (2, clock_timestamp()), (9, clock_timestamp() + interval '1 min')"
    )
    assert tick(raw, slots=3) == 2


def test_the_databases_clock_is_the_one_that_counts(raw: Connection) -> None:
    row = raw.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    assert abs(database_now() - row[0]) < timedelta(seconds=5)
