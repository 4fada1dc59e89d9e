"""Carry Liquid safely through HTML processing.

While HTML is parsed and styles are inlined, each output and tag is one character of plane 16, which no parser touches
in text, attributes or styles. Tags that stand in text travel as comments, because a parser would move other text out
of tables. What came back in another order had been in a place where HTML allows nothing, and is reported.
"""

from __future__ import annotations

import bisect
import html as html_entities
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import css_inline

from delivery.compiling.escaping import RESERVED
from delivery.compiling.htmlscan import Event, scan_html
from delivery.compiling.language import read_expression
from delivery.compiling.sources import Piece

FIRST: Final = 0x100000
PLACEHOLDER: Final = re.compile("[\U00100000-\U0010ffff]")
_COMMENTED = re.compile("<!--([\U00100000-\U0010ffff])-->")
_DOCTYPE = re.compile(r"<!DOCTYPE[^>]*>", re.IGNORECASE)
MAX_PIECES: Final = 20_000

_INLINER = css_inline.CSSInliner(load_remote_stylesheets=False, keep_style_tags=True, keep_at_rules=True)


@dataclass(slots=True)
class Document:
    """HTML in which characters stand for Liquid. pieces[i] is what the character FIRST + i stands for."""

    html: str
    pieces: list[Piece]
    _offsets: list[tuple[int, int]] = field(default_factory=list)

    def piece(self, character: str) -> Piece:
        """Return what a placeholder stands for."""
        return self.pieces[ord(character) - FIRST]

    def source_position(self, position: int) -> int:
        """Translate a position in `html` to one in the author's source. Only before inlining."""
        begin, start = self._offsets[bisect.bisect_right(self._offsets, (position, 1 << 62)) - 1]
        return start + position - begin


def encode(pieces: Sequence[Piece], organization: Mapping[str, str]) -> Document:
    """Put placeholders for Liquid into the text between. What the organization's own data fills in is constant."""
    chunks: list[str] = []
    kept: list[Piece] = []
    offsets: list[tuple[int, int]] = []
    length = 0
    for piece in pieces:
        offsets.append((length, piece.start))
        text = RESERVED.sub("", piece.text) if piece.kind == "text" else organization_constant(piece, organization)
        if text is None:
            text = chr(FIRST + len(kept))
            kept.append(piece)
        elif piece.kind != "text":
            text = html_entities.escape(text)
        chunks.append(text)
        length += len(text)
    return Document("".join(chunks), kept, offsets)


def organization_constant(piece: Piece, organization: Mapping[str, str]) -> str | None:
    """Resolve `{{ organization.… }}`, which is the same for everybody; None for anything else."""
    if piece.kind != "output" or "organization" not in piece.text:
        return None
    expression = read_expression(piece.text)
    if expression.path is None or len(expression.path) != 2 or expression.path[0] != "organization":
        return None
    return organization.get(expression.path[1]) or expression.default or ""


def inline_styles(document: Document, events: Sequence[Event]) -> Document:
    """Inline the styles; media queries, pseudo-classes and conditional comments stay as they are."""
    pieces = list(document.pieces)
    chunks: list[str] = []
    for index, event in enumerate(events):
        text = document.html[event.start : event.end]
        if event.kind == "open" and event.name == "table" and _begins_with_row(document, events[index + 1 :]):
            text += "<tbody>"
        elif event.kind == "text" and not event.hidden and not event.name:
            text = PLACEHOLDER.sub(lambda found: _commented(found.group(), document), text)
        elif event.kind == "declaration" and not event.hidden and not _DOCTYPE.match(text):
            pieces.append(Piece("verbatim", text, event.start))
            text = f"<!--{chr(FIRST + len(pieces) - 1)}-->"
        chunks.append(text)
    html = "".join(chunks)
    if not any(event.kind == "open" and event.name in ("html", "head", "body") for event in events):
        # A parser would leave tags that begin a fragment outside of the body that it makes up.
        html = f"<html><head></head><body>{html}</body></html>"
    inlined = _INLINER.inline(html)
    doctype = _DOCTYPE.search(document.html)
    written = doctype.group() if doctype else "<!DOCTYPE html>"
    found = _DOCTYPE.search(inlined)
    inlined = inlined[: found.start()] + written + inlined[found.end() :] if found else f"{written}\n{inlined}"
    return Document(_COMMENTED.sub(r"\1", inlined), pieces)


def _begins_with_row(document: Document, following: Sequence[Event]) -> bool:
    """Tell whether a table's first child is a row inside a block.

    The parser would put the table body that HTML implies inside the block, where it would be repeated or left out.
    """
    for event in following:
        if event.kind in ("open", "close"):
            return event.kind == "open" and event.name == "tr"
    return False


def _commented(character: str, document: Document) -> str:
    return f"<!--{character}-->" if document.piece(character).kind == "tag" else character


def first_moved(before: Document, after: Document) -> Piece | None:
    """Find the first piece that HTML parsing moved, dropped or doubled."""
    old = PLACEHOLDER.findall(before.html)
    new = [item for item in PLACEHOLDER.findall(after.html) if after.piece(item).kind != "verbatim"]
    for index, character in enumerate(old):
        if index >= len(new) or new[index] != character:
            return before.piece(character)
    return None if len(new) == len(old) else after.piece(new[len(old)])


def parse(document: Document) -> list[Event]:
    """Scan the document's HTML."""
    return scan_html(document.html)
