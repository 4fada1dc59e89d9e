"""A restored snapshot of the whole server has every mark of home, and fewer heartbeats than the cache remembers."""

from __future__ import annotations

import pytest
from django.core.cache import cache

from delivery.engine import witness
from delivery.engine.database import Connection
from delivery.engine.home import check_home, confirm_home
from delivery.models import AccountPace, EngineHome, ParkReason
from tests.delivery.engine.world import World

FORGOTTEN = "the database was restored from a snapshot: it has forgotten what was here before"


def heartbeat() -> int:
    return EngineHome.objects.get().heartbeat


class Gone:
    """A cache whose server is away."""

    def get(self, *_args: object) -> None:
        raise ConnectionError("connection refused")

    def set(self, *_args: object, **_options: object) -> None:
        raise ConnectionError("connection refused")


def test_each_look_at_a_database_at_home_is_a_heartbeat(raw: Connection) -> None:
    check_home(raw)
    before = heartbeat()

    assert [check_home(raw) for _ in range(3)] == ["", "", ""]
    assert heartbeat() == before + 3


def test_a_snapshot_parks_every_account_until_somebody_confirms(world: World, raw: Connection) -> None:
    world.add_people(3)
    for _ in range(5):
        check_home(raw)
    snapshot = heartbeat() - 2
    world.launch()
    EngineHome.objects.update(heartbeat=snapshot)

    assert [check_home(raw), check_home(raw)] == [FORGOTTEN] * 2
    world.run(seconds=1)

    assert world.provider.handed_over == {}
    assert heartbeat() == snapshot
    assert AccountPace.objects.get().parked_reason == ParkReason.HOME

    confirm_home(raw)

    assert [check_home(raw), check_home(raw)] == ["", ""]
    assert AccountPace.objects.get().parked_reason == ""
    assert heartbeat() > snapshot + 2


def test_a_cache_that_was_emptied_or_restored_knows_nothing_against_it(raw: Connection) -> None:
    for _ in range(5):
        check_home(raw)
    cache.clear()
    assert check_home(raw) == ""

    home = EngineHome.objects.get()
    witness.remember(home.system_identifier, home.database_oid, 1)

    assert check_home(raw) == ""
    assert witness.last_seen(home.system_identifier, home.database_oid) == heartbeat()


def test_what_another_database_has_counted_is_no_witness(raw: Connection) -> None:
    check_home(raw)
    home = EngineHome.objects.get()
    witness.remember(home.system_identifier, home.database_oid + 1, 1_000_000)
    witness.remember(home.system_identifier + 1, home.database_oid, 1_000_000)

    assert check_home(raw) == ""


def test_without_the_cache_the_engine_goes_on(raw: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    check_home(raw)
    before = heartbeat()
    monkeypatch.setattr(witness, "cache", Gone())

    assert check_home(raw) == ""
    assert heartbeat() == before + 1


def test_a_home_that_goes_away_meanwhile_is_no_witness(raw: Connection) -> None:
    """Emptied by a test or a restore between the look and the heartbeat."""
    check_home(raw)
    home = EngineHome.objects.get()

    class Emptied:
        def execute(self, sql: str, *args: object) -> object:
            if "heartbeat + 1" in sql:
                EngineHome.objects.all().delete()
            return raw.execute(sql, *args)  # type: ignore[call-overload]

    before = witness.last_seen(home.system_identifier, home.database_oid)

    assert check_home(Emptied()) == ""  # type: ignore[arg-type]
    assert witness.last_seen(home.system_identifier, home.database_oid) == before
