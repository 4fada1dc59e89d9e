"""A restored backup or a copy must not send by itself."""

from __future__ import annotations

import pytest
from django.utils import timezone
from pytest_django import Settings

from delivery.engine.database import Connection
from delivery.engine.home import check_home, confirm_home, unsafe_durability
from delivery.models import AccountPace, EngineHome, ParkReason
from tests.delivery.engine.world import World
from tests.factories import AccountFactory


def parked() -> list[str]:
    return list(AccountPace.objects.order_by("pk").values_list("parked_reason", flat=True))


def test_the_first_look_writes_down_where_home_is(raw: Connection, settings: Settings) -> None:
    assert check_home(raw) == ""

    home = EngineHome.objects.get()
    identifier = raw.execute("SELECT system_identifier FROM pg_control_system()").fetchone()
    assert (home.system_identifier,) == identifier
    assert (home.timeline, home.public_url, home.is_away) == (1, settings.PUBLIC_URL, False)
    assert check_home(raw) == ""


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"system_identifier": 1}, "the database is a copy or was restored into another cluster"),
        ({"timeline": 7}, "the database's timeline is 1, not 7: it was restored or failed over"),
        ({"database_oid": 1}, "the database was copied or restored within its cluster"),
        ({"table_oid": 1}, "the database was copied or restored within its cluster"),
        ({"public_url": "https://old.example"}, "PUBLIC_URL is http://testserver, not https://old.example"),
        (
            {"system_identifier": 1, "timeline": 7, "public_url": "https://old.example"},
            "the database is a copy or was restored into another cluster; "
            "PUBLIC_URL is http://testserver, not https://old.example",
        ),
    ],
)
def test_away_from_home_every_account_parks_until_somebody_confirms(
    raw: Connection, change: dict[str, object], detail: str
) -> None:
    AccountFactory.create()
    AccountFactory.create(pace__parked_reason=ParkReason.QUOTA, pace__parked_until=timezone.now())
    check_home(raw)
    EngineHome.objects.update(**change)

    assert check_home(raw) == detail
    assert check_home(raw) == detail

    home = EngineHome.objects.get()
    assert (home.is_away, home.detail) == (True, detail)
    assert parked() == [ParkReason.HOME] * 2
    assert set(AccountPace.objects.values_list("parked_until", flat=True)) == {None}

    confirm_home(raw)

    assert check_home(raw) == ""
    assert parked() == ["", ""]
    assert not EngineHome.objects.get().is_away


def test_what_is_restored_into_the_same_database_is_not_at_home(raw: Connection) -> None:
    AccountFactory.create()
    check_home(raw)
    # As pg_restore --clean does: the same rows in a table that is made anew.
    raw.execute("CREATE TABLE kept AS SELECT * FROM delivery_engine_home")
    raw.execute("ALTER TABLE delivery_engine_home RENAME TO before")
    raw.execute("CREATE TABLE delivery_engine_home (LIKE before INCLUDING ALL)")
    raw.execute("INSERT INTO delivery_engine_home SELECT * FROM kept")

    try:
        detail = check_home(raw)
        kept = parked()
    finally:
        raw.execute("DROP TABLE kept, delivery_engine_home")
        raw.execute("ALTER TABLE before RENAME TO delivery_engine_home")

    assert detail == "the database was copied or restored within its cluster"
    assert kept == [ParkReason.HOME]


def test_coming_home_by_itself_still_needs_a_confirmation(raw: Connection, settings: Settings) -> None:
    AccountFactory.create()
    check_home(raw)
    settings.PUBLIC_URL = "https://staging.example"
    check_home(raw)
    settings.PUBLIC_URL = "http://testserver"

    assert check_home(raw) == ""

    assert not EngineHome.objects.get().is_away
    assert parked() == [ParkReason.HOME]


def test_confirming_lifts_nothing_else(raw: Connection) -> None:
    AccountFactory.create(pace__parked_reason=ParkReason.PAUSED)

    confirm_home(raw)

    assert parked() == [ParkReason.PAUSED]


def test_a_database_that_does_not_say_who_it_is_stops_the_engine(raw: Connection) -> None:
    class Mute:
        def execute(self, *_args: object) -> Mute:
            return self

        def fetchone(self) -> None:
            return None

    with pytest.raises(RuntimeError, match="does not tell its system identifier"):
        check_home(Mute())  # type: ignore[arg-type]


def test_nobody_is_mailed_by_a_copy(world: World, raw: Connection) -> None:
    world.add_people(3)
    check_home(raw)
    world.launch()
    EngineHome.objects.update(system_identifier=1)

    check_home(raw)
    world.run(seconds=1)

    assert world.provider.handed_over == {}


def test_settings_that_forget_a_crash_are_named(raw: Connection) -> None:
    # A server that is thrown away after the tests may run without fsync: then that is named, too.
    fsync = raw.execute("SHOW fsync").fetchone()
    always = [] if fsync == ("on",) else ["fsync"]
    raw.execute("SET synchronous_commit = on")
    assert unsafe_durability(raw) == always

    raw.execute("SET synchronous_commit = off")

    assert unsafe_durability(raw) == [*always, "synchronous_commit"]
