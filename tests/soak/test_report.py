from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tests.soak.report import Limit, Series, picture, slope, table

TIMES = [10.0 * step for step in range(30)]


def series(values: list[float], kind: str = "memory MB") -> Series:
    return Series("send", kind, TIMES, values)


def test_a_leak_is_not_flat_and_its_slope_is_told_per_hour() -> None:
    leaking = series([100 + 0.1 * time for time in TIMES])

    assert leaking.slope_per_hour == pytest.approx(360)
    assert leaking.growth == pytest.approx(19)  # 190 s after the warm-up
    assert leaking.allowance == pytest.approx(11.95)
    assert not leaking.is_flat


def test_growth_while_warming_up_is_not_judged() -> None:
    warming = series([10.0 * step for step in range(10)] + [100.0] * 20)

    assert warming.growth == pytest.approx(0)
    assert warming.is_flat


def test_what_shrinks_is_flat() -> None:
    assert series([500.0 - time for time in TIMES]).is_flat


def test_noise_around_a_level_is_flat() -> None:
    assert series([3.0 + step % 5 for step in range(30)], "seconds").is_flat


def test_a_backlog_that_grows_is_not_flat() -> None:
    assert not series([0.2 * time for time in TIMES], "seconds").is_flat


@pytest.mark.parametrize(("mean", "allowed"), [(10, 8), (80, 8), (200, 20), (-200, 20)])
def test_the_larger_of_share_and_amount_is_allowed(mean: float, allowed: float) -> None:
    assert Limit(0.10, 8).allowance(mean) == pytest.approx(allowed)


def test_one_point_has_no_slope() -> None:
    assert slope([1.0], [5.0]) == 0


def test_the_table_marks_what_grows() -> None:
    head, flat, growing = table([series([100.0] * 30), series([1.0 * time for time in TIMES], "tasks")])

    assert head.split() == ["start", "middle", "end", "slope/h", "growth", "allowed"]
    assert flat.split() == ["send", "memory", "MB", "100.00", "100.00", "100.00", "0.00", "0.00", "10.00"]
    assert growing.endswith("GROWS")


def test_the_picture_has_a_panel_for_each_and_shows_growth_in_red() -> None:
    drawn = picture([series([100.0] * 30), Series("a < b", "tasks", TIMES, [1.0 * time for time in TIMES])])

    root = ElementTree.fromstring(drawn)
    lines = root.findall(".//{*}polyline")
    assert [line.get("stroke") for line in lines] == ["#9ca3af", "#2563eb", "#9ca3af", "#dc2626"]
    assert len(lines[1].attrib["points"].split()) == 20
    assert "a < b, tasks: 0.00 to 290.00, +3,600.00 per hour" in "".join(root.itertext())
