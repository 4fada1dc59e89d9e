"""The alarm clock's tasks."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import cast

import pytest
from django.utils import timezone
from pytest_django import Settings

from delivery import tasks
from delivery.engine import process
from delivery.engine.database import Connection
from delivery.engine.loop import EngineLoop
from delivery.engine.simulating import SimulatedProvider
from delivery.models import AccountPace, AccountUsage, EngineHome, Mailout, ParkReason, SendCall, SendingAccount
from delivery.selectors.progress import mailout_progress
from tests.delivery.engine.world import World
from tests.factories import AccountFactory


@pytest.fixture
def wakes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Who asked for an engine loop."""
    asked: list[str] = []
    monkeypatch.setattr(tasks, "wake_engine", lambda: asked.append("wake"))
    return asked


@pytest.fixture(autouse=True)
def own_loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A loop for this test alone."""
    monkeypatch.setattr(process, "_loop", None)
    process.stop_requested.clear()
    yield
    if process._loop is not None:
        process._loop.close()
    process.stop_requested.clear()


@pytest.fixture
def sending(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose account sends through its scripted provider."""
    monkeypatch.setattr(process, "provider_for", lambda _account: world.provider)
    return world


def test_a_slice_sends_what_is_due_and_asks_for_no_other_when_nothing_is_left(sending: World, wakes: list[str]) -> None:
    sending.add_people(30)
    mailout = sending.launch()

    tasks.run_slice()

    assert mailout_progress(mailout).sent == 30
    assert wakes == []


@pytest.mark.usefixtures("patient")
def test_a_slice_that_leaves_work_asks_for_the_next(
    sending: World, wakes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cast("dict[str, float]", EngineLoop.run_slice.__kwdefaults__), "seconds", 0.4)
    sending.add_people(100)
    sending.launch(rate_limit=20.0)

    tasks.run_slice()

    assert 0 < sum(sending.provider.handed_over.values()) < 100
    assert wakes == ["wake"]


def test_a_slice_that_is_told_to_stop_arms_nothing_and_asks_for_no_other(sending: World, wakes: list[str]) -> None:
    sending.add_people(30)
    sending.launch()
    process.stop_requested.set()

    tasks.run_slice()

    assert sending.provider.handed_over == {}
    assert wakes == []


def test_a_slice_away_from_home_sends_nothing(sending: World, wakes: list[str]) -> None:
    sending.add_people(3)
    sending.launch()
    tasks.tick()
    EngineHome.objects.update(system_identifier=1)
    wakes.clear()

    tasks.run_slice()
    tasks.tick()

    assert sending.provider.handed_over == {}
    assert wakes == []
    assert AccountPace.objects.get().parked_reason == ParkReason.HOME


def test_a_dry_run_needs_no_account(sending: World, wakes: list[str]) -> None:
    sending.add_people(3)
    mailout = sending.launch(is_dry_run=True)

    tasks.run_slice()

    assert mailout_progress(mailout).simulated == 3
    assert sending.provider.handed_over == {}


def test_work_of_an_account_that_is_gone_stops_nobody_else(sending: World, wakes: list[str], raw: Connection) -> None:
    sending.add_people(3)
    gone = sending.launch("campaign:gone")
    raw.execute("UPDATE delivery_message_batch SET account_id = 999999999")
    sending.add_people(2, start=50)
    mailout = sending.launch()

    tasks.run_slice()

    assert mailout_progress(mailout).sent == 5
    assert mailout_progress(gone).waiting == 3


@pytest.mark.django_db
def test_a_process_has_one_loop_and_a_fork_another(monkeypatch: pytest.MonkeyPatch) -> None:
    first = process.engine_loop()
    assert process.engine_loop() is first

    monkeypatch.setattr("os.getpid", lambda: 1)
    second = process.engine_loop()

    assert second is not first
    assert process.engine_loop() is second
    first.close()


def test_runners_take_their_threads_from_the_account(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "provider_for", lambda _account: world.provider)
    results = world.loop()._results

    dry = process.make_runner(0, results)
    real = process.make_runner(world.account.pk, results)

    assert dry is not None
    assert real is not None
    assert (dry.threads, real.threads) == (1, 4)
    assert isinstance(dry._sender.provider, SimulatedProvider)
    assert real._sender.provider is world.provider
    assert process.make_runner(999_999_999, results) is None


def test_a_tick_wakes_a_loop_per_free_slot(world: World, wakes: list[str], settings: Settings) -> None:
    settings.ENGINE_SLOTS = 3
    tasks.tick()
    assert wakes == []

    world.add_people(1)
    world.launch()
    tasks.tick()

    assert wakes == ["wake"] * 3


def test_housekeeping_rolls_the_day_clears_calls_and_asks_every_account(
    world: World, raw: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = AccountFactory.create(organization=world.organization)
    checked: list[tuple[int, str]] = []
    made: list[object] = []
    monkeypatch.setattr(
        tasks, "check_account", lambda *, account, durability_problem: checked.append((account.pk, durability_problem))
    )
    monkeypatch.setattr(tasks, "ensure_partitions", lambda *, at: made.append(at))
    monkeypatch.setattr(tasks, "durability_problem", lambda _connection: "unsafe")
    world.add_people(1)
    world.launch()
    world.run()
    Mailout.objects.update(finished_at=timezone.now() - timedelta(days=8))
    AccountPace.objects.update(day_used=99)

    tasks.housekeep()

    assert len(made) == 1
    assert checked == [(world.account.pk, "unsafe"), (second.pk, "unsafe")]
    assert SendCall.objects.count() == 0
    assert AccountPace.objects.get(account=world.account).day_used == sum(
        AccountUsage.objects.values_list("n", flat=True)
    )


def test_accounts_that_answer_slowly_are_asked_by_turns_the_sending_ones_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty accounts at a provider that hangs kept the ticks waiting for minutes."""
    now = timezone.now()
    idle = [AccountFactory.create(checked_at=now - timedelta(hours=hours)) for hours in (1, 3, 2)]
    never = AccountFactory.create()
    world.add_people(1)
    world.launch()
    clock = 0.0
    asked: list[int] = []

    def check_slowly(*, account: SendingAccount, durability_problem: str) -> None:
        nonlocal clock
        clock += 2.0
        asked.append(account.pk)
        SendingAccount.objects.filter(pk=account.pk).update(checked_at=timezone.now())

    monkeypatch.setattr(tasks, "check_account", check_slowly)
    monkeypatch.setattr(tasks, "monotonic", lambda: clock)

    for _ in range(4):
        tasks.housekeep()

    sending, (an_hour, three, two) = world.account.pk, (account.pk for account in idle)
    assert asked == [sending, never.pk, sending, three, sending, two, sending, an_hour]


# stopping


def test_a_child_that_is_told_to_stop_sets_its_flag() -> None:
    before = signal.getsignal(signal.SIGUSR2)
    process.stop_requested.set()
    try:
        tasks._start_child()
        assert not process.stop_requested.is_set()
        os.kill(os.getpid(), signal.SIGUSR2)
        assert process.stop_requested.wait(2)
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_a_parent_that_shuts_down_tells_its_living_children(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []

    def kill(pid: int, number: int) -> None:
        told.append((pid, number))
        if pid == 11:
            raise ProcessLookupError

    children = [SimpleNamespace(pid=None), SimpleNamespace(pid=11), SimpleNamespace(pid=12)]
    monkeypatch.setattr(tasks, "active_children", lambda: children)
    monkeypatch.setattr("os.kill", kill)

    tasks._stop()

    assert told == [(11, signal.SIGUSR2), (12, signal.SIGUSR2)]
    assert process.stop_requested.is_set()


def test_every_periodic_task_exists() -> None:
    named = {tasks.tick, tasks.housekeep, tasks.send_system_emails, tasks.purge_system_emails}

    assert {name for name, _seconds in tasks.PERIODIC.values()} == {task.name for task in named}
