"""What is worth telling an author about a document: its structure, links, pictures, and what the law asks for."""

from __future__ import annotations

import html as html_entities
import re
from collections.abc import Iterator, Sequence
from typing import Final

from delivery.compiling.contract import Footer
from delivery.compiling.document import PLACEHOLDER, Document
from delivery.compiling.htmlscan import VOID_ELEMENTS, Attribute, Event
from delivery.compiling.language import BLOCK_TAGS, read_expression
from delivery.compiling.links import LINK_ELEMENTS, link_label, link_value, read_target, split_branches
from delivery.compiling.positions import Places, placeholders
from delivery.compiling.report import Report
from delivery.compiling.sources import Piece

_MAX_ELEMENTS: Final = 30_000
_MAX_DEPTH: Final = 250
_MAX_OPEN_FORMATTING: Final = 20
# Parsers close these themselves, so leaving them open nests nothing.
_SELF_CLOSING = frozenset({"p", "li", "dt", "dd", "td", "th", "tr", "tbody", "thead", "tfoot", "colgroup", "option"})
# Left open, parsers open these again in every following block.
_FORMATTING = frozenset(
    {"a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"}
)
_PICTURE_SCHEMES = frozenset({"http", "https", "cid"})


def check_structure(events: Sequence[Event], report: Report) -> None:
    """Refuse documents on which HTML parsers use up the stack or the memory."""
    depth = deepest = formatting = elements = 0
    for event in events:
        if event.kind not in ("open", "close") or event.name in VOID_ELEMENTS or event.name in _SELF_CLOSING:
            elements += event.kind == "open"
            continue
        step = 1 if event.kind == "open" else -1
        elements += step == 1
        depth = max(0, depth + step)
        deepest = max(deepest, depth)
        if event.name in _FORMATTING:
            formatting += step
    if elements > _MAX_ELEMENTS:
        report.block("too_many_elements", count=str(elements), most=str(_MAX_ELEMENTS))
    if deepest > _MAX_DEPTH or formatting > _MAX_OPEN_FORMATTING:
        report.block("too_deep")


def check_links(document: Document, events: Sequence[Event], report: Report) -> None:
    """Report addresses that are unsafe, lead nowhere, or can't be tracked."""
    for index, event in enumerate(events):
        if event.kind != "open":
            continue
        for attribute in event.attributes:
            if attribute.name in ("href", "action", "formaction", "xlink:href"):
                _check_link(document, event, attribute, report)
            if attribute.name == "href" and event.name in LINK_ELEMENTS:
                _check_missing(document, events, index, attribute, report)


def _check_missing(
    document: Document, events: Sequence[Event], index: int, attribute: Attribute, report: Report
) -> None:
    """Report a link that was never given its address; a lone # is what editors put in its place."""
    if link_value(document, attribute) not in ("", "#"):
        return
    start = document.source_position(attribute.start)
    label = link_label(document, events, index)
    if label:
        report.add("empty_link", start=start, label=label[:80])
    else:
        report.add("empty_nameless_link", start=start)


def _check_link(document: Document, event: Event, attribute: Attribute, report: Report) -> None:
    start = document.source_position(attribute.start)
    value = link_value(document, attribute)
    target = read_target(document, value)
    if target.kind == "branches":
        kinds = {
            read_target(document, part.strip()).kind
            for part in split_branches(document, value)
            if not PLACEHOLDER.fullmatch(part)
        }
    else:
        kinds = {target.kind}
    shown = PLACEHOLDER.sub("…", value)[:80]
    if kinds & {"unsafe"}:
        report.block("unsafe_link", start=start, url=shown)
    if event.name not in LINK_ELEMENTS:
        return
    if kinds & {"variable_host", "mixed"}:
        report.block("variable_host", start=start, url=shown)
    if kinds & {"relative"}:
        report.add("relative_link", start=start, url=shown)
    if kinds & {"unknown_scheme"}:
        report.add("unknown_scheme", start=start, url=shown)
    if kinds & {"whole"}:
        report.add("untracked_link", start=start)


def check_pictures(document: Document, events: Sequence[Event], report: Report) -> None:
    """Report pictures that readers won't see, and pictures without a description."""
    for event in events:
        if event.kind != "open" or event.name != "img":
            continue
        start = document.source_position(event.start)
        if event.attribute("alt") is None:
            report.add("missing_alt", start=start)
        source = event.attribute("src")
        value = link_value(document, source) if source else ""
        if not value:
            report.add("empty_picture", start=start)
        elif not PLACEHOLDER.match(value):
            _check_picture(read_scheme(value), start, value, report)


def read_scheme(value: str) -> str:
    """Return an address's scheme, lower case, "" for none."""
    return value.partition(":")[0].strip().lower() if re.match(r"\s*[A-Za-z][\w+.-]*:", value) else ""


def _check_picture(scheme: str, start: int, value: str, report: Report) -> None:
    if scheme == "data":
        report.block("embedded_picture", start=start)
    elif scheme in ("blob", "file"):
        report.block("local_picture", start=start, url=value[:80])
    elif not scheme:
        report.add("relative_picture", start=start, url=value[:80])
    elif scheme not in _PICTURE_SCHEMES:
        report.block("unsafe_link", start=start, url=value[:80])


def missing_from_html(document: Document, events: Sequence[Event], footer: Footer) -> set[str]:
    """List what the document doesn't show for certain: what stands in a condition may not be shown to everybody."""
    missing = {"unsubscribe", "preferences", "address"}
    places = Places(events)
    depth = 0
    inside: list[tuple[int, int]] = []
    for position, piece in placeholders(document):
        if piece.kind == "tag":
            step = (piece.name in BLOCK_TAGS) - (piece.name in BLOCK_TAGS.values())
            if step > 0 and not depth:
                inside.append((position, len(document.html)))
            depth += step
            if step < 0 and not depth:
                inside[-1] = (inside[-1][0], position)
            continue
        event = places.event(position)
        attribute = places.find(position).attribute
        if depth or event.hidden or event.name not in LINK_ELEMENTS or attribute is None or attribute.name != "href":
            continue
        path = read_expression(piece.text).path
        if path and not document.html[attribute.start : position].strip():
            missing.discard(path[0].removesuffix("_url"))
    address = " ".join(footer.postal_address.split())
    if address and address in " ".join("".join(_certain_text(document, events, inside)).split()):
        missing.discard("address")
    return missing


def _certain_text(document: Document, events: Sequence[Event], inside: Sequence[tuple[int, int]]) -> Iterator[str]:
    """Yield the visible text outside of any block."""
    cursor = 0
    for event in events:
        if event.kind != "text" or event.hidden or event.name:
            yield " " if event.name in ("br", "p", "div", "td", "tr", "li") else ""
            continue
        start = event.start
        while cursor < len(inside) and inside[cursor][1] <= start:
            cursor += 1
        for begin, end in inside[cursor:]:
            if begin >= event.end:
                break
            yield html_entities.unescape(document.html[start : max(start, begin)])
            start = max(start, min(end, event.end))
        yield html_entities.unescape(document.html[start : event.end])


def missing_from_text(pieces: Sequence[Piece], footer: Footer) -> set[str]:
    """List what a given text part doesn't show for certain."""
    missing = {"unsubscribe", "preferences", "address"}
    depth = 0
    constant: list[str] = []
    for piece in pieces:
        if piece.kind == "tag":
            depth += (piece.name in BLOCK_TAGS) - (piece.name in BLOCK_TAGS.values())
        elif depth:
            continue
        elif piece.kind == "text":
            constant.append(piece.text)
        else:
            path = read_expression(piece.text).path
            missing.discard(
                "address" if path == ("organization", "postal_address") else (path or ("",))[0].removesuffix("_url")
            )
    address = " ".join(footer.postal_address.split())
    if address and address in " ".join(" ".join(constant).split()):
        missing.discard("address")
    return missing
