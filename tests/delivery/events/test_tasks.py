from __future__ import annotations

from unittest.mock import Mock

import pytest

from amazonsender.core.enqueue import WAKE_EXPIRES_SECONDS
from delivery import event_tasks


def test_the_task_goes_on_until_the_inbox_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = iter([1000, 1000, 7])
    monkeypatch.setattr(event_tasks, "process_batch", lambda limit: next(batches))
    enqueue = Mock()
    monkeypatch.setattr(event_tasks, "enqueue", enqueue)

    assert event_tasks.process_inbox() == 2007
    enqueue.assert_not_called()


def test_after_its_slice_the_task_hands_over_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_tasks, "process_batch", lambda limit: 1000)
    monkeypatch.setattr(event_tasks, "SLICE_SECONDS", -1)
    enqueue = Mock()
    monkeypatch.setattr(event_tasks, "enqueue", enqueue)

    assert event_tasks.process_inbox() == 1000
    enqueue.assert_called_once_with(event_tasks.process_inbox, expires=WAKE_EXPIRES_SECONDS)


def test_many_messages_ring_once_per_quarter_second_and_always_after_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    rung: list[float] = []
    monkeypatch.setattr("delivery.event_tasks.time.monotonic", lambda: now[0])
    monkeypatch.setattr(event_tasks, "enqueue", lambda task, countdown, expires: rung.append(now[0] + countdown))
    alarm = event_tasks._Alarm()

    for step in range(11):
        now[0] = 100 + step / 20
        alarm.set()

    assert rung == [100.25, 100.5, 100.75]


def test_storing_a_message_wakes_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    enqueue = Mock()
    monkeypatch.setattr(event_tasks, "enqueue", enqueue)
    monkeypatch.setattr(event_tasks, "_alarm", event_tasks._Alarm())

    event_tasks.wake_processor()

    enqueue.assert_called_once_with(event_tasks.process_inbox, countdown=0.25, expires=WAKE_EXPIRES_SECONDS)
