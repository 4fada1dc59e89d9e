"""How many engine loops run at once, over all machines."""

from __future__ import annotations

import threading
from uuid import UUID, uuid4

from delivery.engine.database import Connection, open_connection
from delivery.engine.slots import free_slot, free_slots, lease_slot
from delivery.models import EngineSlot
from tests.delivery.engine.world import World


def test_no_more_loops_than_slots_run_at_once_whoever_asks(raw: Connection) -> None:
    owners = [uuid4() for _ in range(8)]
    leased: list[int | None] = []

    def lease(owner: UUID) -> None:
        with open_connection() as connection:
            leased.append(lease_slot(connection, owner, slots=3))

    threads = [threading.Thread(target=lease, args=(owner,)) for owner in owners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    taken = sorted(slot for slot in leased if slot is not None)
    assert len(taken) == len(set(taken)) <= 3
    # at the same moment a look may skip a row that another holds; the next wake-up finds it
    while lease_slot(raw, uuid4(), slots=3) is not None:
        pass
    assert EngineSlot.objects.exclude(owner=None).count() == 3
    assert free_slots(raw, slots=3) == 0


def test_a_freed_slot_is_leased_again(raw: Connection) -> None:
    first, second = uuid4(), uuid4()
    assert lease_slot(raw, first, slots=1) == 1
    assert lease_slot(raw, second, slots=1) is None
    assert free_slots(raw, slots=1) == 0

    free_slot(raw, second)  # not its own
    assert lease_slot(raw, second, slots=1) is None
    free_slot(raw, first)

    assert free_slots(raw, slots=1) == 1
    assert lease_slot(raw, second, slots=1) == 1


def test_the_slot_of_a_loop_that_died_is_leased_again_when_its_lease_ends(raw: Connection) -> None:
    lease_slot(raw, uuid4(), slots=1)
    raw.execute("UPDATE delivery_engine_slot SET lease_until = clock_timestamp() - interval '1 s'")

    assert free_slots(raw, slots=1) == 1
    assert lease_slot(raw, uuid4(), slots=1) == 1


def test_fewer_slots_than_before_leave_the_others_alone(raw: Connection) -> None:
    lease_slot(raw, uuid4(), slots=3)

    assert lease_slot(raw, uuid4(), slots=1) is None
    assert free_slots(raw, slots=1) == 0


def test_a_loop_without_a_slot_sends_nothing_and_says_so(world: World, raw: Connection) -> None:
    world.add_people(3)
    world.launch()
    lease_slot(raw, uuid4(), slots=1)
    loop = world.loop()

    assert loop.run_slice(slots=1, seconds=1) is False
    loop.close()

    assert world.provider.handed_over == {}


def test_a_loop_frees_its_slot_when_its_slice_ends(world: World, raw: Connection) -> None:
    world.add_people(3)
    world.launch()

    world.run()

    assert free_slots(raw, slots=2) == 2
    assert len(world.provider.handed_over) == 3
