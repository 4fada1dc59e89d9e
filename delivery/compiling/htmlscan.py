"""Find tags, attributes, comments and text in HTML, without changing any of it.

A tokenizer by the HTML standard's states, as far as email needs them. Conditional comments for Outlook
(`<!--[if mso]>…<![endif]-->`) are looked into: what is in them is HTML to the one program that reads it.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

RAW_ELEMENTS: Final = frozenset({"script", "style", "xmp", "iframe", "noembed", "noframes"})
TEXT_ELEMENTS: Final = frozenset({"title", "textarea"})
VOID_ELEMENTS: Final = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
)

_TAG_OPEN = re.compile(r"<(/?)([A-Za-z][^\s/>]*)")
_ATTRIBUTE = re.compile(
    r"""[\s/]*(?P<name>[^\s/>=][^\s/>=]*)(?:\s*=\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^\s>"'][^\s>]*)))?"""
)
_CONDITION_OPEN = re.compile(r"<!--\[if[^\]]*\]>(?!<!--|\s*-->)", re.IGNORECASE)
_CONDITION_CLOSE = re.compile(r"<!\[endif\]-->", re.IGNORECASE)
_TAG_END = re.compile(r"[\s/]*>")


class Attribute(NamedTuple):
    """An attribute and where its value stands. quote is a quotation mark, "" for none; start = end without a value."""

    name: str
    quote: str
    start: int
    end: int


class Event(NamedTuple):
    """A stretch of the document.

    kind: text, open, close, comment, raw (content of script or style), declaration, condition (an edge of a
    conditional comment). name: the element; for text only title and textarea, which hold no markup. hidden: inside a
    conditional comment.
    """

    kind: str
    start: int
    end: int
    name: str = ""
    attributes: tuple[Attribute, ...] = ()
    hidden: bool = False

    def attribute(self, name: str) -> Attribute | None:
        """Find an attribute by its lower-case name."""
        return next((item for item in self.attributes if item.name == name), None)


def scan_html(html: str) -> list[Event]:
    """Split HTML into events that cover it without gaps."""
    events: list[Event] = []
    position, hidden = 0, False
    while position < len(html):
        begin = html.find("<", position)
        if begin < 0:
            begin = len(html)
        if begin > position:
            events.append(Event("text", position, begin, hidden=hidden))
        if begin == len(html):
            break
        event = _markup(html, begin, hidden)
        if event.kind == "condition":
            hidden = not html.startswith("<![", begin)
        events.append(event)
        position = event.end
        if event.kind == "open" and event.name in RAW_ELEMENTS | TEXT_ELEMENTS:
            closing = re.compile(rf"</{event.name}(?=[\s/>])", re.IGNORECASE).search(html, position)
            stop = closing.start() if closing else len(html)
            kind = "raw" if event.name in RAW_ELEMENTS else "text"
            events.append(Event(kind, position, stop, event.name, hidden=hidden))
            position = stop
    return events


def _markup(html: str, begin: int, hidden: bool) -> Event:
    if html.startswith("<!--", begin):
        opened = None if hidden else _CONDITION_OPEN.match(html, begin)
        if opened and _CONDITION_CLOSE.search(html, opened.end()):
            return Event("condition", begin, opened.end(), hidden=True)
        stop = html.find("-->", begin + 4)
        return Event("comment", begin, len(html) if stop < 0 else stop + 3, hidden=hidden)
    closed = _CONDITION_CLOSE.match(html, begin) if hidden else None
    if closed:
        return Event("condition", begin, closed.end(), hidden=True)
    if html.startswith(("<!", "<?"), begin):
        stop = html.find(">", begin)
        return Event("declaration", begin, len(html) if stop < 0 else stop + 1, hidden=hidden)
    tag = _TAG_OPEN.match(html, begin)
    if tag is None:
        return Event("text", begin, begin + 1, hidden=hidden)
    attributes: list[Attribute] = []
    position = tag.end()
    while True:
        end = _TAG_END.match(html, position)
        if end:
            position = end.end()
            break
        found = _ATTRIBUTE.match(html, position)
        if not found:
            stop = html.find(">", position)
            position = len(html) if stop < 0 else stop + 1
            break
        attributes.append(_attribute(found))
        position = found.end()
    kind = "close" if tag.group(1) else "open"
    return Event(kind, begin, position, tag.group(2).lower(), tuple(attributes), hidden)


def _attribute(found: re.Match[str]) -> Attribute:
    for group, quote in (("double", '"'), ("single", "'"), ("bare", "")):
        if found.group(group) is not None:
            return Attribute(found.group("name").lower(), quote, found.start(group), found.end(group))
    return Attribute(found.group("name").lower(), '"', found.end(), found.end())
