"""The compare-and-set of arming: whoever lost the claim, the position or the lease arms nothing."""

from __future__ import annotations

import pytest

from delivery.engine import arming
from delivery.engine.claiming import claim_batch
from delivery.engine.database import Connection
from delivery.engine.reaping import reap
from delivery.models import BatchState, MessageBatch, SendCall
from delivery.selectors.progress import mailout_progress
from tests.delivery.engine.world import HeldRunner, World, expire_leases


def test_a_worker_that_lost_its_batch_to_another_arms_nothing_of_it(world: World, raw: Connection) -> None:
    """The other one holds the batch at the very position that the first one knows."""
    world.add_people(1500)
    mailout = world.launch()
    MessageBatch.objects.filter(lo=1001).delete()
    held = HeldRunner(world)
    held.arm(raw)
    calls = SendCall.objects.count()
    armed_to = MessageBatch.objects.get().armed_to
    assert armed_to < 1001
    expire_leases(raw)
    reap(raw)
    other = claim_batch(raw, world.account.pk, turn=0)
    assert other is not None
    assert (other.armed_to, other.claim) == (armed_to, 3)

    held.come_back(calls)
    held.runner._wake_at = 0.0
    held.arm(raw)

    assert SendCall.objects.count() == calls
    batch = MessageBatch.objects.get()
    assert (batch.claim, batch.armed_to, batch.state) == (3, armed_to, BatchState.CLAIMED)
    assert mailout_progress(mailout).sent == armed_to - 1  # its late answers are the truth


@pytest.mark.parametrize("change", ["armed_to = armed_to + 50", "lease_until = clock_timestamp()"])
def test_a_batch_that_moved_or_whose_lease_ended_is_not_armed(world: World, raw: Connection, change: str) -> None:
    world.add_people(500)
    world.launch()
    held = HeldRunner(world)
    plan = held.plan(raw)
    raw.execute(f"UPDATE delivery_message_batch SET {change}")

    committed = arming.settle_and_arm(raw, [], plan)

    assert not committed.armed
    assert SendCall.objects.count() == 0
