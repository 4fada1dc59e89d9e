"""Eight real processes on one account: what the provider itself measures."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic, sleep, time

import pytest
from celery import Celery
from pytest_django import DjangoDbBlocker

from delivery.engine.database import Connection
from delivery.engine.ticking import roll_day
from delivery.models import AccountGrant, AccountPace, Mailout
from delivery.selectors.progress import mailout_progress
from delivery.services import launching
from delivery.services.controlling import cancel_mailout
from delivery.services.trial import send_test
from tests.benchmarks.provider_stub.process import StubProcess
from tests.delivery.engine.worker_processes import (
    SendWorker,
    running_broker,
    wait_for_recipients,
    wait_until_idle,
    wake,
)
from tests.delivery.engine.world import World, make_world
from tests.factories import OrganizationFactory

pytestmark = pytest.mark.processes

PROCESSES = 8


@pytest.fixture(scope="module")
def provider_stub() -> Iterator[StubProcess]:
    with StubProcess() as stub:
        yield stub


@pytest.fixture(scope="module")
def broker(
    tmp_path_factory: pytest.TempPathFactory,
    provider_stub: StubProcess,
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[Celery]:
    """Eight engine processes behind a broker; they sleep until woken."""
    with running_broker(tmp_path_factory.mktemp("broker")) as app:
        worker = SendWorker(app, provider_stub, processes=PROCESSES, slots=PROCESSES)
        try:
            yield app
            worker.stop()
        finally:
            worker.close()


@pytest.fixture
def stub(provider_stub: StubProcess, world: World, broker: Celery) -> Iterator[StubProcess]:
    """The provider with a clean record, and at the end nobody who still sends."""
    provider_stub.reset()
    provider_stub.change(throttle=0, latency_ms=20)
    yield provider_stub
    for mailout in Mailout.objects.filter(finished_at=None):
        cancel_mailout(mailout=mailout)
    wait_until_idle()


def set_pace(world: World, **fields: float) -> None:
    AccountPace.objects.filter(account=world.account).update(**fields)


def test_eight_processes_hold_the_rate_over_any_second_and_the_day_which_goes_on_by_itself(
    world: World, raw: Connection, broker: Celery, stub: StubProcess
) -> None:
    set_pace(world, max_rate=300, day_limit=700)
    world.add_people(1000)
    mailout = world.launch()

    started = monotonic()
    wake(broker, PROCESSES)
    wait_for_recipients(stub, 686)  # a campaign leaves two percent of the day to transactional mail
    seconds = monotonic() - started
    sleep(0.5)

    full = stub.stats()
    assert full["recipients"] == 686
    assert mailout_progress(mailout).waiting == 314
    assert 686 / seconds > 60  # and it is not simply slow, the start of eight processes included

    raw.execute("UPDATE delivery_account_usage SET minute = minute - interval '24 hours'")
    roll_day(raw)
    wait_for_recipients(stub, 1000)  # nobody woke them

    stats = stub.stats()
    assert stats["busiest_second"] <= 300 * 1.1
    assert stats["distinct"] == stats["recipients"] == 1000
    assert stats["throttled"] == 0


def test_throttling_lowers_the_rate_of_all_and_it_recovers(
    world: World, raw: Connection, broker: Celery, stub: StubProcess
) -> None:
    set_pace(world, max_rate=400)
    world.add_people(2000)
    mailout = world.launch()
    stub.change(throttle=100)

    wake(broker, PROCESSES)
    deadline = monotonic() + 15
    while (lowest := AccountPace.objects.get().factor) > 0.5:
        assert monotonic() < deadline, f"the factor is still {lowest}"
        sleep(0.05)
    throttled = stub.stats()["throttled"]
    stub.change(throttle=0)
    sleep(1.5)
    recovering = AccountPace.objects.get().factor
    set_pace(world, max_rate=100_000, factor=1.0)
    raw.execute("UPDATE delivery_message_batch SET due_at = clock_timestamp() WHERE state = 0")
    wait_for_recipients(stub, 2000)
    wait_until_idle()

    assert throttled > 0
    assert lowest + 0.02 <= recovering <= lowest + 0.06
    progress = mailout_progress(mailout)
    assert (progress.sent, progress.failed, progress.unknown) == (2000, 0, 0)
    assert stub.stats()["duplicates"] == 0


def test_a_small_organization_and_a_letter_on_its_own_overtake_a_big_campaign_of_the_same_account(
    world: World, broker: Celery, stub: StubProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "BATCH_SIZE", 200)  # an organization's turn is over sooner
    set_pace(world, max_rate=1000)
    small = make_world(OrganizationFactory.create(name="Small"))
    small.account = world.account
    AccountGrant.objects.create(account=world.account, organization=small.organization)
    world.add_people(8000)
    small.add_people(100, start=50_000)
    big = world.launch()
    wake(broker, PROCESSES)
    wait_for_recipients(stub, 500)

    little = small.launch()
    queued_at = time()
    send_test(
        organization=world.organization,
        account=world.account,
        compiled=world.compiled,
        recipients=["urgent@example.com"],
        preview_subscriber=None,
        name="Test",
        sender="News <news@example.com>",
    )
    deadline = monotonic() + 20
    while "urgent@example.com" not in (singles := stub.stats()["singles"]):
        assert monotonic() < deadline, "nobody sent the letter"
        sleep(0.02)
    while mailout_progress(little).sent < 100:
        assert monotonic() < deadline, "the small organization waits for the big one"
        sleep(0.1)

    progress = mailout_progress(big)
    assert 500 <= progress.sent < 8000
    assert progress.waiting > 0
    assert (
        singles["urgent@example.com"] - queued_at < 2.0
    )  # 0.3 on a machine that is not busy with tests: make bench-limits
    # What starts ahead, and eight processes on two cores that are kept from the processor; bench-limits holds 1.1.
    assert stub.stats()["busiest_second"] <= 1000 * 1.15
