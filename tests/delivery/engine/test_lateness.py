"""Calls that are armed long after their grant's start: a process was kept from the processor, or a commit took long."""

from __future__ import annotations

from datetime import datetime, timedelta
from time import monotonic

import psycopg
import pytest
from django.utils import timezone

from delivery.engine import limiter
from delivery.engine.arming import ArmPlan
from delivery.engine.database import Connection
from delivery.models import AccountPace, SendCall
from delivery.services.trial import send_test
from tests.delivery.engine.world import HeldRunner, World

RATE = 1000.0


def plan_of_grant(world: World, raw: Connection) -> tuple[HeldRunner, limiter.Grant, ArmPlan]:
    AccountPace.objects.update(max_rate=RATE, max_calls=1000)
    held = HeldRunner(world)
    held.runner._wake_at = 0.0
    while not held.runner._batches or held.runner._grant is None or held.runner._grant.starts_at > monotonic():
        held.runner._plan(raw)
        held.runner._wake_at = 0.0
    held.runner._grant.starts_at = monotonic()
    plan = held.plan(raw)
    return held, held.runner._grant, plan


def book(**fields: object) -> None:
    AccountPace.objects.update(**fields)


def booked() -> datetime:
    at = AccountPace.objects.get().mail_tat
    assert at is not None
    return at


def test_they_get_another_place_in_time_and_leave_then(world: World, raw: Connection) -> None:
    world.add_people(50)
    world.launch()
    held, grant, plan = plan_of_grant(world, raw)
    used = AccountPace.objects.get().day_used
    before = timezone.now() + timedelta(seconds=0.4)
    book(mail_tat=before)  # others have booked so far
    grant.starts_at = monotonic() - limiter.LATE_SECONDS - 0.05

    held.arm(raw)
    wait = plan.calls[0].not_before - monotonic()
    held.come_back(len(plan.calls))

    assert 0.2 < wait <= 0.4
    assert booked() - before == timedelta(seconds=50 / RATE)
    assert AccountPace.objects.get().day_used == used


@pytest.mark.parametrize("late", [0.0, limiter.LATE_SECONDS / 2])
def test_those_on_time_keep_theirs(world: World, raw: Connection, late: float) -> None:
    world.add_people(50)
    world.launch()
    held, grant, plan = plan_of_grant(world, raw)
    before = booked()
    grant.life = 0.0  # whoever asks again gets a new one
    grant.starts_at = starts_at = monotonic() + limiter.LATE_SECONDS - late

    held.arm(raw)
    held.come_back(len(plan.calls))

    assert {call.not_before for call in plan.calls} == {starts_at}
    assert booked() == before


def test_where_the_processor_is_what_limits_nobody_is_late(world: World, raw: Connection) -> None:
    assert not limiter.Grant(1, 1, 1, monotonic() - 0.9, life=limiter.FREE_LIFE_SECONDS).is_late
    assert limiter.Grant(1, 1, 1, monotonic() - 0.9, life=limiter.GRANT_LIFE_SECONDS).is_late


def test_a_letter_on_its_own_is_not_put_off(world: World, raw: Connection) -> None:
    held = HeldRunner(world)
    send_test(
        organization=world.organization, account=world.account, compiled=world.compiled,
        recipients=["urgent@acme.example"], preview_subscriber=None, name="Test", sender="News <news@example.com>",
    )  # fmt: skip
    AccountPace.objects.update(max_rate=RATE, max_calls=1000)
    plan = held.plan(raw)
    grant = held.runner._grant
    assert grant is not None
    grant.starts_at = monotonic() - 5
    book(mail_tat=timezone.now() + timedelta(seconds=60))

    held.arm(raw)

    assert [call.not_before for call in plan.calls] == [grant.starts_at]
    held.come_back(1)


def test_they_go_out_although_the_database_went_away_since_they_are_armed(
    world: World, raw: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add_people(50)
    world.launch()
    held, grant, plan = plan_of_grant(world, raw)
    grant.starts_at = monotonic() - 1

    def fail(*_args: object, **_options: object) -> float:
        raise psycopg.OperationalError("the server closed the connection")

    monkeypatch.setattr(limiter, "book_anew", fail)

    held.arm(raw)
    held.come_back(len(plan.calls))

    assert SendCall.objects.count() == len(plan.calls)
    assert sum(world.provider.handed_over.values()) == 50


def test_an_account_without_a_pace_waits_for_nothing(world: World, raw: Connection) -> None:
    AccountPace.objects.all().delete()

    assert limiter.book_anew(raw, world.account.pk, people=50, calls=1) == 0.0
