"""Cut Unfold's two fonts down to what the admin uses: 747 KB become about 100 KB."""

from __future__ import annotations

import logging
import re
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import unfold
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

UNFOLD: Final = Path(unfold.__file__).parent
FONTS: Final = Path("unfold/fonts")
WEIGHTS: Final = ("Regular", "Medium", "SemiBold")
# Latin, Cyrillic, and the signs of a well-set page.
LETTERS: Final = (
    "U+0020-007E,U+00A0-017F,U+0400-045F,U+0490-0491,U+2009-2015,U+2018-2022,U+2026,U+202F,U+2030,U+2039-203A,U+20AC,"
    "U+20BD,U+2116,U+2122,U+2190-2193,U+2212,U+2248,U+2260,U+2264-2265"
)
FEATURES: Final = ["kern", "calt", "ccmp", "locl", "mark", "mkmk", "tnum", "case", "ss03"]


def words_of_the_admin() -> set[str]:
    """Return every word that could name an icon.

    Every word of the templates, Unfold's and ours, and every quoted word of Python that builds pages: a superset, and
    the names that exist as icons among them are few.
    """
    base = Path(settings.BASE_DIR)
    templates = [*(UNFOLD / "templates").rglob("*.html"), *(base / "templates").rglob("*.html")]
    python = [UNFOLD / "widgets.py", UNFOLD / "sites.py", base / "amazonsender/navigation.py"]
    python += [path for app in base.glob("*/admin") for path in app.rglob("*.py")]
    python += [path for app in base.glob("*/templatetags") for path in app.rglob("*.py")]
    found = {word for path in templates for word in re.findall(r"[a-z_0-9]{3,}", path.read_text())}
    found |= {word for path in python for word in re.findall(r"[\"']([a-z_0-9]{3,})[\"']", path.read_text())}
    css = (UNFOLD / "static/unfold/css/styles.css").read_text()
    return found | set(re.findall(r"content:\s*[\"']([a-z_0-9]+)", css))


class Command(BaseCommand):
    help = (
        "Cut the admin's fonts to the letters and icons in use and write them to static/. Run after adding an icon; "
        "needs fonttools and brotli, which are among the development requirements. "
        "Exit code 0: written; 1: a package is missing."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.subset, self.ttlib = import_module("fontTools.subset"), import_module("fontTools.ttLib")
            import_module("brotli")
        except ImportError:
            raise CommandError("fonttools and brotli are missing: python3 run.py setup --dev installs them.") from None
        logging.getLogger("fontTools").setLevel(logging.WARNING)
        target = Path(settings.BASE_DIR) / "static"
        for weight in WEIGHTS:
            name = FONTS / f"inter/Inter-{weight}.woff2"
            letters = self.subset.parse_unicodes(LETTERS)
            self.cut(UNFOLD / "static" / name, target / name, features=FEATURES, closure=True, unicodes=letters)
        name = FONTS / "material-symbols/Material-Symbols-Outlined.woff2"
        glyphs, icons = self.icons(UNFOLD / "static" / name)
        self.cut(UNFOLD / "static" / name, target / name, features=["liga", "rlig"], closure=False, glyphs=glyphs)
        (target / FONTS / "material-symbols/icons.txt").write_text("\n".join(sorted(icons)) + "\n")
        self.stdout.write(f"{len(icons)} icons")

    def cut(self, source: Path, target: Path, *, features: list[str], closure: bool, **keep: Any) -> None:
        """Write the font with only the given glyphs or letters."""
        options = self.subset.Options(flavor="woff2", layout_features=features, layout_closure=closure)
        font = self.subset.load_font(str(source), options)
        cutter = self.subset.Subsetter(options)
        cutter.populate(**keep)
        cutter.subset(font)
        target.parent.mkdir(parents=True, exist_ok=True)
        self.subset.save_font(font, str(target), options)
        self.stdout.write(f"{target.stat().st_size:>7,} {target.name}")

    def icons(self, source: Path) -> tuple[set[str], set[str]]:
        """Return glyphs and names of the icons in use. An icon's name is a ligature of its letters."""
        font = self.ttlib.TTFont(source)
        letter = {glyph: chr(code).lower() for code, glyph in font.getBestCmap().items() if code < 128}
        words, glyphs, names = words_of_the_admin(), set(), set()
        for lookup in font["GSUB"].table.LookupList.Lookup:
            for table in lookup.SubTable:
                for first, ligatures in getattr(getattr(table, "ExtSubTable", table), "ligatures", {}).items():
                    for ligature in ligatures:
                        parts = [first, *ligature.Component]
                        name = "".join(letter[part] for part in parts)
                        if name in words:
                            glyphs |= {ligature.LigGlyph, *parts}
                            names.add(name)
        return glyphs, names
