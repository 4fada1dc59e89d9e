from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from delivery.engine.database import Connection
from delivery.engine.ticking import tick
from delivery.models import AccountPace, Inbox, Mailout, MessageBatch
from delivery.providers.base import CallResult, Entry, EntryResult, Outcome
from delivery.selectors import figures
from organizations.models import SystemEmail
from tests.delivery.engine.world import World


def values(name: str) -> dict[tuple[str, ...], float]:
    (figure,) = [one for one in figures.engine_figures() if one.name == name]
    return dict(figure.samples)


def test_waiting_messages_are_told_by_lane_and_by_whether_they_are_due(world: World) -> None:
    world.add_people(30)
    world.launch()
    paused = world.launch("campaign:2")
    Mailout.objects.filter(pk=paused.pk).update(state="paused")
    MessageBatch.objects.update(due_at=timezone.now() - timedelta(seconds=90))

    waiting = values("amazonsender_queue_messages")

    assert {place: n for place, n in waiting.items() if n} == {("campaign", "due"): 30, ("campaign", "paused"): 30}
    assert len(waiting) == 9
    assert values("amazonsender_queue_age_seconds")[("campaign",)] == pytest.approx(90, abs=10)
    assert values("amazonsender_open_mailouts") == {("sending", ""): 1, ("paused", ""): 1}


def test_unknown_messages_are_told_while_it_sends_and_afterwards(world: World, raw: Connection) -> None:
    def lose(entries: list[Entry]) -> CallResult:
        return CallResult([EntryResult(Outcome.AMBIGUOUS, "", "answer_lost")] * len(entries))

    world.add_people(20)
    world.provider.answer = lose
    world.launch()

    world.run()

    assert values("amazonsender_unknown_messages") == {(): 20}
    tick(raw, slots=2)
    assert values("amazonsender_unknown_messages") == {(): 20}
    assert values("amazonsender_open_mailouts") == {}
    assert values("amazonsender_armed_calls") == {(): 0}


def test_own_letters_are_told_while_they_wait_and_when_they_were_given_up(world: World) -> None:
    hour = timedelta(hours=1)
    common = {"purpose": "invitation", "to": "ann@acme.example", "due_at": timezone.now(), "give_up_at": timezone.now()}
    for state, finished in (
        ("queued", None),
        ("sending", None),
        ("sent", 0),
        ("failed", 0),
        ("unknown", 0.5),
        ("failed", 2),
    ):
        over = {} if finished is None else {"finished_at": timezone.now() - finished * hour}
        SystemEmail.objects.create(state=state, **common, **over)
    SystemEmail.objects.filter(state="queued").update(created_at=timezone.now() - timedelta(seconds=90))

    assert values("amazonsender_own_letters_waiting") == {(): 2}
    assert values("amazonsender_own_letters_given_up") == {(): 2}
    assert values("amazonsender_own_letter_age_seconds")[()] == pytest.approx(90, abs=10)


def test_accounts_tell_their_bucket_and_why_they_wait(world: World) -> None:
    account = str(world.account.pk)
    AccountPace.objects.update(
        max_rate=100, factor=0.5, mail_tat=timezone.now() + timedelta(seconds=30), parked_reason="quota"
    )

    assert values("amazonsender_account_rate") == {(account,): 50}
    assert values("amazonsender_account_booked_seconds")[(account,)] == pytest.approx(30, abs=5)
    assert values("amazonsender_account_parked") == {(account, "quota"): 1}
    assert values("amazonsender_account_probing") == {(account,): 0}
    AccountPace.objects.update(parked_until=timezone.now() - timedelta(seconds=1))
    assert values("amazonsender_account_parked") == {}


def test_the_inbox_tells_its_length_up_to_a_bound_and_its_oldest_event(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    Inbox.objects.bulk_create(Inbox(body=b"{}") for _ in range(3))
    Inbox.objects.update(received_at=timezone.now() - timedelta(minutes=2))

    assert values("amazonsender_inbox_messages") == {(): 3}
    assert values("amazonsender_event_lag_seconds")[()] == pytest.approx(120, abs=10)
    assert values("amazonsender_dead_events") == {(): 0}


def test_no_figure_reads_the_ledger_or_a_finished_batch(world: World) -> None:
    """What would grow with ten million messages: the plans of open batches go through their partial indexes."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for query in (figures._QUEUE, figures._UNKNOWN, figures._MAILOUTS, figures._CALLS):
            assert "delivery_message " not in query
            cursor.execute(f"EXPLAIN {query}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
            assert "Seq Scan on delivery_message_batch" not in plan, plan
            assert "Seq Scan on delivery_send_call" not in plan, plan


def test_it_all_asks_in_one_transaction_and_gives_up_after_two_seconds(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "_MAILOUTS", "SELECT '', current_setting('statement_timeout'), 1")

    assert values("amazonsender_open_mailouts") == {("", "2s"): 1}
