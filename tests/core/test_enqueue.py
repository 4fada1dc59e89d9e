import pytest
from celery import Celery, shared_task
from django.db import transaction
from kombu.exceptions import OperationalError
from structlog.testing import capture_logs

from amazonsender.celery import app
from amazonsender.core.enqueue import enqueue
from amazonsender.periodic import declared
from amazonsender.settings import base
from tests.localses.running import free_port


@shared_task(name="tests.woken")
def woken(mailout_id: int) -> None: ...


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(woken, "apply_async", lambda args, **options: calls.append((args, options)))
    return calls


@pytest.mark.django_db(transaction=True)
def test_a_worker_is_woken_only_after_the_commit(published: list[tuple[object, ...]]) -> None:
    with transaction.atomic():
        enqueue(woken, 7, countdown=1.5)
        assert published == []

    ((args, options),) = published
    assert args == (7,)
    assert options["countdown"] == 1.5  # type: ignore[index]
    assert options["retry"] is False  # type: ignore[index]


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_wakes_nobody(published: list[tuple[object, ...]]) -> None:
    with transaction.atomic():
        enqueue(woken, 7)
        transaction.set_rollback(True)

    assert published == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [OperationalError("down"), ConnectionRefusedError("down")])
def test_a_broker_that_is_down_is_logged_and_not_the_callers_problem(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(woken, "apply_async", refuse)

    with capture_logs() as events:
        enqueue(woken, 7)

    assert [(event["event"], event["log_level"]) for event in events] == [("enqueue.broker_unreachable", "warning")]


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_is_away_is_tried_once(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    """Whoever presses Send, or brings an event, would else wait six seconds for it."""
    slept: list[float] = []
    monkeypatch.setattr("kombu.utils.functional.sleep", slept.append)
    away = Celery("away", broker=f"{scheme}://127.0.0.1:{free_port()}//", set_as_current=False)
    away.conf.broker_transport_options = {"max_retries": base.CELERY_BROKER_TRANSPORT_OPTIONS["max_retries"]}

    with pytest.raises((OperationalError, OSError)):
        away.send_task("tests.woken", [7], retry=False)

    assert slept == []


AMAZONS_PATIENCE_SECONDS = 300  # a signature may be so old


def test_no_periodic_task_expires_for_a_worker_whose_clock_is_minutes_ahead() -> None:
    """Whoever takes a task compares its expiry with his own clock: with 5 s every tick was dropped."""
    names = {task for task, _seconds in declared().values()}
    assert {"delivery.tasks.tick", "delivery.tasks.process_inbox"} <= names

    expiries = {name: seconds for name in names if (seconds := app.tasks[name].expires) is not None}

    assert set(expiries.values()) == {AMAZONS_PATIENCE_SECONDS}
