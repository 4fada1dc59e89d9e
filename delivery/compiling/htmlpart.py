"""Turn an inlined document into the items of the HTML part."""

from __future__ import annotations

import html as html_entities
from collections.abc import Iterable, Mapping, Sequence

from delivery.compiling.document import Document
from delivery.compiling.escaping import MANAGE, TRACK
from delivery.compiling.htmlscan import Attribute, Event
from delivery.compiling.language import read_expression
from delivery.compiling.links import LINK_ELEMENTS, LinkTable, link_label, link_value, read_target
from delivery.compiling.parts import Item, constant, merge_constants, output
from delivery.compiling.positions import Places, placeholders, value_position
from delivery.compiling.report import Report
from delivery.compiling.sources import Piece
from delivery.compiling.variables import URLS


class HtmlPart:
    """Walks a document once and knows each link's items, for the HTML part and for the text part."""

    def __init__(self, document: Document, events: Sequence[Event], table: LinkTable, urls: Mapping[str, str]) -> None:
        self.document = document
        self.events = events
        self.urls = urls
        self.links: dict[int, list[Item]] = {}
        """Index of the event that opens a link to its address, in plain text."""
        for index, event in enumerate(events):
            if event.kind == "open" and event.name in LINK_ELEMENTS and not event.hidden:
                attribute = event.attribute("href")
                if attribute is not None:
                    value = link_value(document, attribute)
                    self.links[index] = table.rewrite(value, link_label(document, events, index))

    def items(self, *, after_body: Sequence[Item], before_end: Sequence[Item]) -> list[Item]:
        """Build the items, with some added at the body's beginning and end."""
        edits = [*self._link_edits(), *self._insertions(after_body, before_end)]
        covered = {position for start, end, _ in edits for position in range(start, end)}
        places = Places(self.events)
        for position, piece in placeholders(self.document):
            if position not in covered:
                place = places.find(position)
                where = value_position(self.document, place.attribute, position) if place.attribute else "html"
                edits.append((position, position + 1, [piece_item(piece, where, self.urls)]))
        items: list[Item] = []
        cursor = 0
        for start, end, replacement in sorted(edits, key=lambda edit: edit[:2]):
            items += [constant(self.document.html[cursor:start]), *replacement]
            cursor = end
        items.append(constant(self.document.html[cursor:]))
        return merge_constants(items)

    def _link_edits(self) -> list[tuple[int, int, list[Item]]]:
        edits = []
        for index, items in self.links.items():
            attribute = self.events[index].attribute("href") or Attribute("href", "", 0, 0)
            target = read_target(self.document, link_value(self.document, attribute))
            if target.kind not in ("plain", "empty") or len(items) > 1:
                edits.append((attribute.start, attribute.end, as_attribute(items, self.urls)))
        return edits

    def _insertions(self, after_body: Sequence[Item], before_end: Sequence[Item]) -> list[tuple[int, int, list[Item]]]:
        begin, end = 0, len(self.document.html)
        for event in self.events:
            if event.name == "body" and not event.hidden:
                if event.kind == "open":
                    begin = event.end
                else:
                    end = event.start
        return [(begin, begin, list(after_body)), (end, end, list(before_end))]


def piece_item(piece: Piece, position: str, urls: Mapping[str, str]) -> Item:
    """Turn a piece of Liquid into an item for a position. Addresses of our own are constants with marks."""
    if piece.kind == "verbatim":
        return constant(piece.text)
    if piece.kind == "tag":
        return ["t", piece.name, piece.text]
    expression = read_expression(piece.text)
    if expression.path is not None and expression.path[0] in URLS:
        url = urls[expression.path[0]]
        return constant(url if position in ("plain", "subject") else html_entities.escape(url))
    return output(expression.text, "raw" if expression.raw and position == "html" else position)


def as_attribute(items: Iterable[Item], urls: Mapping[str, str]) -> list[Item]:
    """Escape plain items for a quoted attribute. Values escape themselves."""
    return [
        constant(html_entities.escape(item[1])) if item[0] == "c" else own_address(item, urls, html=True)
        for item in items
    ]


def as_plain(items: Iterable[Item], urls: Mapping[str, str]) -> list[Item]:
    """Use an address's items in the text part."""
    return [
        output(item[1], "plain")
        if item[0] == "o" and item[2] == "url" and own_address(item, urls, html=False) is item
        else own_address(item, urls, html=False)
        for item in items
    ]


def own_address(item: Item, urls: Mapping[str, str], *, html: bool) -> Item:
    """Replace an output of one of our own addresses by the address; return other items as they are."""
    if item[0] != "o":
        return item
    path = read_expression(item[1]).path
    if path is None or path[0] not in URLS:
        return item
    url = urls[path[0]]
    return constant(html_entities.escape(url) if html else url)


def close_captures(items: Sequence[Item], report: Report, part: str, *, entities: bool) -> list[Item]:
    """Make what a capture keeps plain text: it is escaped where it is written out, once."""
    result: list[Item] = []
    depth = 0
    for item in items:
        if item[0] == "t":
            depth += (item[1] == "capture") - (item[1] == "endcapture")
            result.append(item)
        elif not depth:
            result.append(item)
        elif item[0] == "o":
            result.append(output(item[1], "capture"))
        elif item[0] == "l" or TRACK in item[1] or MANAGE in item[1] or (entities and "<" in item[1]):
            report.block("capture_markup", part=part)
        else:
            result.append(constant(html_entities.unescape(item[1]) if entities else item[1]))
    return result
