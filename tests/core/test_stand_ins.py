"""Templates and files of Unfold that ours take the place of. When one changes, look at ours and write down the new sum."""

import hashlib
import re
from pathlib import Path

import unfold
from django.conf import settings

UNFOLD = Path(unfold.__file__).parent
OURS = Path(settings.BASE_DIR)
# What ours replaces or leans on: the first ten digits of its SHA-256.
SEEN = {
    "templates/admin/base.html": "2ce9250b3c",
    "templates/admin/base_site.html": "50eb1e71a0",
    "templates/admin/change_list.html": "5885c39760",
    "templates/admin/login.html": "13deb7765c",
    "templates/admin/nav_sidebar.html": "d61d8a2fd3",
    "templates/unfold/helpers/command.html": "ae6ce324d8",
    "templates/unfold/helpers/empty_results.html": "5f4727a37a",
    "templates/unfold/helpers/messages.html": "9e37d808b5",
    "templates/unfold/helpers/pagination_default.html": "a6c793aea6",
    "templates/unfold/layouts/skeleton.html": "66af9f0bb4",
    "static/unfold/js/alpine/alpine.js": "3ed1eed252",
    "static/unfold/js/app.js": "be01a34d18",
}


def test_what_we_stand_in_for_is_what_we_looked_at() -> None:
    now = {name: hashlib.sha256((UNFOLD / name).read_bytes()).hexdigest()[:10] for name in SEEN}

    assert now == SEEN


def test_every_stand_in_is_written_down() -> None:
    ours = {
        str(path.relative_to(OURS))
        for folder in ("templates/unfold", "templates/admin", "static/unfold")
        for path in (OURS / folder).rglob("*")
        if path.is_file()
    }

    assert {name for name in ours if (UNFOLD / name).is_file()} - set(SEEN) == {
        "static/unfold/fonts/inter/styles.css",
        "static/unfold/fonts/inter/Inter-Regular.woff2",
        "static/unfold/fonts/inter/Inter-Medium.woff2",
        "static/unfold/fonts/inter/Inter-SemiBold.woff2",
        "static/unfold/fonts/material-symbols/styles.css",
        "static/unfold/fonts/material-symbols/Material-Symbols-Outlined.woff2",
        "static/unfold/js/alpine/LICENSE",
        "static/unfold/js/chart/chart.js",
    }


def test_every_icon_in_use_is_in_the_cut_font() -> None:
    known = set((OURS / "static/unfold/fonts/material-symbols/icons.txt").read_text().split())
    used = {
        name
        for path in (OURS / "templates").rglob("*.html")
        for name in re.findall(r"""{% icon ["']([a-z_0-9]+)["']""", path.read_text())
    }

    assert used - known == set(), "run `manage.py subset_fonts`"


def test_fonts_and_scripts_of_every_page_stay_light() -> None:
    fonts = sum(path.stat().st_size for path in (OURS / "static/unfold/fonts").rglob("*.woff2"))

    assert fonts < 110_000
    assert (OURS / "static/unfold/js/chart/chart.js").stat().st_size < 100
