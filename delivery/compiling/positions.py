"""In which position each piece of Liquid stands, and whether it may stand there.

As in Go's html/template, the position decides how a value is escaped; unlike there, whatever is doubtful is refused:
unquoted attributes, scripts, event handlers, style sheets, and blocks whose branches would leave the document in
different states.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from delivery.compiling.document import PLACEHOLDER, Document
from delivery.compiling.htmlscan import VOID_ELEMENTS, Attribute, Event
from delivery.compiling.language import BLOCK_TAGS, BRANCH_TAGS, read_expression
from delivery.compiling.report import Report
from delivery.compiling.sources import Piece
from delivery.compiling.variables import URLS

URL_ATTRIBUTES: Final = frozenset(
    {"href", "src", "background", "action", "formaction", "poster", "cite", "longdesc", "xlink:href", "data", "srcset"}
)
_BLOCK_ENDS = frozenset(BLOCK_TAGS.values())
_BETWEEN_CELLS = frozenset(
    {
        *((kind, name) for kind in ("open", "close") for name in ("tr", "tbody", "thead", "tfoot")),
        *(("close", name) for name in ("td", "th", "caption", "colgroup")),
        ("open", "table"),
    }
)
_CSS_VALUE = re.compile(r"(?:^|;)\s*[^;:]*:[^;:\"'()\\]*\Z")


class Place(NamedTuple):
    """Where a placeholder is. kind: text, value (of an attribute), comment, style, script, tag or declaration."""

    kind: str
    identity: tuple[object, ...]
    attribute: Attribute | None = None


class Places:
    """Finds the place of any position in a scanned document."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events
        self._starts = [event.start for event in events]
        conditions = 0
        self._conditions: list[int] = []
        for event in events:
            conditions += event.kind == "condition"
            self._conditions.append(conditions if event.hidden else 0)

    def find(self, position: int) -> Place:
        """Return the place of a position."""
        index = bisect.bisect_right(self._starts, position) - 1
        event = self._events[index]
        if event.kind == "text":
            return Place("text", ("text", self._conditions[index], index if event.name else -1))
        if event.kind in ("open", "close"):
            for attribute in event.attributes:
                if attribute.start <= position < attribute.end:
                    return Place("value", ("value", index, attribute.name), attribute)
            return Place("tag", ("tag", index))
        if event.kind == "raw":
            return Place("style" if event.name == "style" else "script", ("raw", index))
        return Place("declaration" if event.kind == "condition" else event.kind, (event.kind, index))

    def event(self, position: int) -> Event:
        """Return the event that covers a position."""
        return self._events[bisect.bisect_right(self._starts, position) - 1]

    def is_between_cells(self, position: int) -> bool:
        """Tell whether text stands directly in a table, where parsers move it out."""
        index = bisect.bisect_right(self._starts, position) - 1
        if self._events[index].kind != "text":
            return False
        before = next((event for event in self._events[index - 1 :: -1] if event.kind in ("open", "close")), None)
        if before is None or not index:
            return False
        return (before.kind, before.name) in _BETWEEN_CELLS


def placeholders(document: Document) -> Iterator[tuple[int, Piece]]:
    """List placeholders with their positions."""
    for found in PLACEHOLDER.finditer(document.html):
        yield found.start(), document.piece(found.group())


def check_positions(document: Document, events: Sequence[Event], report: Report) -> None:
    """Report Liquid in places where it can't be made safe, and branches that end in different places."""
    places = Places(events)
    opened: list[tuple[Piece, Place]] = []
    for position, piece in placeholders(document):
        place = places.find(position)
        _check_place(document, place, piece, position, report)
        if piece.kind == "output" and places.is_between_cells(position):
            report.block("moved", start=piece.start)
        if piece.kind != "tag":
            continue
        if piece.name in BLOCK_TAGS:
            opened.append((piece, place))
        elif opened and (piece.name in BRANCH_TAGS or piece.name in _BLOCK_ENDS):
            start, begun = opened[-1]
            if begun.identity != place.identity:
                _report_branch(report, start)
            if piece.name in _BLOCK_ENDS:
                opened.pop()


def _check_place(document: Document, place: Place, piece: Piece, position: int, report: Report) -> None:
    if place.kind == "script":
        report.block("script_slot", start=piece.start)
    elif place.kind == "style":
        report.block("style_slot", start=piece.start)
    elif place.kind in ("tag", "declaration"):
        report.block("tag_slot", start=piece.start)
    elif piece.kind == "output" and place.kind != "text" and read_expression(piece.text).raw:
        report.block("raw_slot", start=piece.start)
    elif place.attribute is not None:
        _check_attribute(document, place.attribute, piece, position, report)


def _check_attribute(document: Document, attribute: Attribute, piece: Piece, position: int, report: Report) -> None:
    if not attribute.quote:
        report.block("unquoted_attribute", start=piece.start, name=attribute.name)
    elif attribute.name.startswith("on") or attribute.name == "srcdoc":
        report.block("event_handler", start=piece.start, name=attribute.name)
    elif piece.kind == "output" and attribute.name in URL_ATTRIBUTES and _is_own_address(piece):
        if not is_beginning(document, document.html[attribute.start : position]):
            report.block("address_inside", start=piece.start, name=piece.text)
    elif attribute.name == "style" and piece.kind == "output":
        before = PLACEHOLDER.sub("x", document.html[attribute.start : position])
        if not _CSS_VALUE.search(before):
            report.block("css_slot", start=piece.start)


def _is_own_address(piece: Piece) -> bool:
    path = read_expression(piece.text).path
    return path is not None and path[0] in URLS


def _report_branch(report: Report, piece: Piece) -> None:
    report.block("branch_context", start=piece.start, tag=piece.name)


def check_balance(document: Document, events: Sequence[Event], report: Report) -> None:
    """Report blocks inside which elements are opened or closed without their counterpart. After inlining."""
    places = Places(events)
    stack: list[int] = []
    pending = [(position, piece) for position, piece in placeholders(document) if piece.kind == "tag"]
    opened: list[tuple[Piece, tuple[int, ...], bool]] = []
    cursor = 0
    for index, event in enumerate(events):
        while cursor < len(pending) and pending[cursor][0] < event.end:
            position, piece = pending[cursor]
            cursor += 1
            watched = event.kind == "text" and not event.hidden and places.find(position).kind == "text"
            if piece.name in BLOCK_TAGS:
                opened.append((piece, tuple(stack), watched))
            elif opened and (piece.name in BRANCH_TAGS or piece.name in _BLOCK_ENDS):
                begun, before, compare = opened[-1]
                if compare and before != tuple(stack):
                    _report_branch(report, begun)
                if piece.name in _BLOCK_ENDS:
                    opened.pop()
        if event.hidden:
            continue
        if event.kind == "open" and event.name not in VOID_ELEMENTS:
            stack.append(index)
        elif event.kind == "close" and stack:
            stack.pop()


def value_position(document: Document, attribute: Attribute, position: int) -> str:
    """Decide how a value in an attribute is escaped."""
    if attribute.name == "style":
        return "css"
    if attribute.name not in URL_ATTRIBUTES:
        return "html"
    return "url" if is_beginning(document, document.html[attribute.start : position]) else "urlpart"


def is_beginning(document: Document, before: str) -> bool:
    """Tell whether a value after this text may be the beginning of an address, where its scheme matters.

    After a tag that stands first, each branch may begin an address.
    """
    tags = [found.start() for found in PLACEHOLDER.finditer(before) if document.piece(found.group()).kind == "tag"]
    if not tags or before[: tags[0]].strip():
        return not before.strip()
    return not before[tags[-1] + 1 :].strip()
