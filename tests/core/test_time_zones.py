from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from amazonsender.core.time_zones import find_zone


def test_a_zone_is_found_by_its_name() -> None:
    assert find_zone("Europe/Riga") == ZoneInfo("Europe/Riga")


@pytest.mark.parametrize("name", ["", "Europe", "Not/AZone", "../etc/passwd", "/etc/localtime", "a" * 300, "a\x00b"])
def test_what_is_no_zone_is_none(name: str) -> None:
    assert find_zone(name) is None
