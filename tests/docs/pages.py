"""The project's pages for people, read as a browser would: links, headings, code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(PROJECT).as_posix()

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def links(self) -> list[str]:
        """Targets of links and pictures, outside of code."""
        return _LINK.findall(_CODE.sub("``", _FENCE.sub("", self.text)))

    def anchors(self) -> set[str]:
        """Ids that a forge gives the headings."""
        return {anchor(heading) for heading in _HEADING.findall(_FENCE.sub("", self.text))}


def anchor(heading: str) -> str:
    """The id of a heading: lower case, spaces to hyphens, whatever else is no letter, digit, hyphen or underscore gone."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip()).replace("`", "")
    return re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")


def list_pages() -> list[Page]:
    """Pages at the top, in docs/ and of Local SES."""
    found = [*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md"), PROJECT / "localses" / "README.md"]
    return [Page(path) for path in sorted(found)]
