from __future__ import annotations

from datetime import UTC, datetime

from delivery.selectors.audience import Audience
from delivery.selectors.waves import Wave, Waves, list_waves
from tests.delivery.engine.world import World

NINE = datetime(2027, 1, 15, 9, 0)


def test_people_are_counted_by_the_moment_at_which_their_clocks_show_it(world: World) -> None:
    world.organization.time_zone = "Europe/Riga"
    world.organization.save()
    for start, people, zone in (
        (0, 2, "Asia/Tokyo"),
        (10, 1, "Europe/Riga"),
        (20, 3, "Europe/Helsinki"),
        (30, 4, ""),
        (40, 1, "Europe"),
        (50, 1, "America/New_York"),
    ):
        world.add_people(people, start=start, time_zone=zone)
    world.add_people(1, start=900, time_zone="Pacific/Auckland", status="bounced")

    found = list_waves(organization=world.organization, audience=Audience((world.list.pk,)), local_time=NINE)

    assert found == Waves(
        (
            Wave(datetime(2027, 1, 15, 0, 0, tzinfo=UTC), 2, ("Asia/Tokyo",)),
            Wave(datetime(2027, 1, 15, 7, 0, tzinfo=UTC), 9, ("Europe/Riga", "Europe/Helsinki")),
            Wave(datetime(2027, 1, 15, 14, 0, tzinfo=UTC), 1, ("America/New_York",)),
        ),
        without_zone=5,
    )


def test_an_audience_of_nobody_has_no_waves(world: World) -> None:
    world.add_people(1, time_zone="Asia/Tokyo")

    assert list_waves(organization=world.organization, audience=Audience(()), local_time=NINE) == Waves()
