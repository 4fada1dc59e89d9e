"""Derive the text part from the HTML: what a reader would see, links as "label: address".

Liquid stays where it was, so that conditions and loops work in the text as well. Line breaks wait until something is
written, and so land inside the branch or the loop that writes it.
"""

from __future__ import annotations

import html as html_entities
from collections.abc import Sequence
from typing import Final

from delivery.compiling.document import PLACEHOLDER, Document
from delivery.compiling.htmlpart import HtmlPart, as_plain, piece_item
from delivery.compiling.htmlscan import VOID_ELEMENTS, Event
from delivery.compiling.language import BLOCK_TAGS, BRANCH_TAGS
from delivery.compiling.parts import Item, constant, merge_constants

_BREAKS: Final = {
    **dict.fromkeys(("p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table", "blockquote", "hr", "dl", "pre"), 2),
    **dict.fromkeys(
        (
            "div",
            "tr",
            "li",
            "section",
            "article",
            "header",
            "footer",
            "center",
            "address",
            "dt",
            "dd",
            "main",
            "figure",
            "figcaption",
            "tbody",
            "thead",
            "tfoot",
            "caption",
            "body",
        ),
        1,
    ),
}
_SKIPPED: Final = frozenset({"head", "title", "script", "style", "noscript", "textarea", "select", "object"})
_BLOCK_ENDS = frozenset(BLOCK_TAGS.values())


def derive_text(part: HtmlPart) -> list[Item]:
    """Return the items of the text part."""
    walker = _Walker(part)
    for index, event in enumerate(part.events):
        walker.visit(index, event)
    return merge_constants(walker.writer.items)


class _Writer:
    """Collects text; whitespace is decided when the next word comes."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.breaks = 0
        self.space = False
        self.prefix = ""
        self._started = False
        self._saved: list[tuple[int, bool, int, bool, bool]] = []

    def line(self, count: int) -> None:
        self.breaks = max(self.breaks, count)

    def flush(self) -> None:
        if self._started and self.breaks:
            self.items.append(constant("\n" * self.breaks))
        elif self._started and self.space:
            self.items.append(constant(" "))
        if self.prefix:
            self.items.append(constant(self.prefix))
        self._started = True
        self.breaks, self.space, self.prefix = 0, False, ""

    def text(self, text: str) -> None:
        words = text.split()
        if not words:
            self.space = self.space or bool(text)
            return
        self.space = self.space or text[0].isspace()
        self.flush()
        self.items.append(constant(" ".join(words)))
        self.space = text[-1].isspace()

    def value(self, item: Item) -> None:
        self.flush()
        self.items.append(item)

    def tag(self, item: Item, *, inline: bool) -> None:
        name = item[1]
        if name in BLOCK_TAGS:
            # What every turn of a loop writes holds one line break; an empty line before the loop stays outside.
            outside = self.breaks if inline else self.breaks - 1 if name == "for" else 0
            if outside > 0 and self._started:
                self.items.append(constant("\n" * outside))
                self.breaks, self.space = self.breaks - outside, False
            self._saved.append((self.breaks, self.space, 0, False, name == "for"))
        elif name in BRANCH_TAGS and self._saved:
            breaks, space, most, any_space, _ = self._saved[-1]
            complete = name == "else"
            self._saved[-1] = (breaks, space, max(most, self.breaks), any_space or self.space, complete)
            self.breaks, self.space = breaks, space
        elif name in _BLOCK_ENDS and self._saved:
            breaks, space, most, any_space, complete = self._saved.pop()
            self.breaks = max(self.breaks, most, 0 if complete else breaks)
            self.space = self.space or any_space or (space and not complete)
        self.items.append(item)


class _Walker:
    def __init__(self, part: HtmlPart) -> None:
        self._part = part
        self._document: Document = part.document
        self.writer = _Writer()
        self._stack: list[tuple[str, bool, bool]] = []
        self._link: tuple[list[Item], int] | None = None

    def visit(self, index: int, event: Event) -> None:
        if event.hidden:
            return
        if event.kind == "text" and not event.name:
            self._text(event, self._events_after(index))
        elif event.kind == "open":
            self._open(index, event)
        elif event.kind == "close" and event.name not in VOID_ELEMENTS:
            self._close(event)

    @property
    def _skipping(self) -> bool:
        return any(skipped for _, skipped, _ in self._stack)

    def _events_after(self, index: int) -> Sequence[Event]:
        return self._part.events[index + 1 : index + 2]

    def _text(self, event: Event, following: Sequence[Event]) -> None:
        text = self._document.html[event.start : event.end]
        for match in _split(text):
            if not PLACEHOLDER.fullmatch(match):
                if not self._skipping:
                    self.writer.text(html_entities.unescape(match))
                continue
            text = text.partition(match)[2]
            item = piece_item(self._document.piece(match), "plain", self._part.urls)
            if item[0] == "t":
                self.writer.tag(item, inline=_is_inline(text, following))
            elif not self._skipping and self._document.piece(match).kind == "output":
                self.writer.value(item)

    def _open(self, index: int, event: Event) -> None:
        if event.name not in VOID_ELEMENTS:
            role = event.attribute("role")
            layout = role is not None and self._document.html[role.start : role.end] == "presentation"
            self._stack.append((event.name, event.name in _SKIPPED or self._is_invisible(event), layout))
        if self._skipping:
            return
        writer = self.writer
        writer.line(_BREAKS.get(event.name, 0))
        if event.name in ("td", "th"):
            self._cell()
        elif event.name == "br":
            writer.breaks = min(writer.breaks + 1, 2)
        elif event.name == "hr":
            writer.text("---")
            writer.line(2)
        elif event.name == "li":
            writer.prefix = "- "
        elif event.name == "img":
            self._picture(event)
        elif index in self._part.links and event.name == "a":
            self._link = (as_plain(self._part.links[index], self._part.urls), len(writer.items))

    def _close(self, event: Event) -> None:
        if not self._skipping:
            if event.name == "a" and self._link is not None:
                self._end_link(*self._link)
                self._link = None
            self.writer.line(_BREAKS.get(event.name, 0))
            if event.name in ("td", "th"):
                self._cell()
            elif event.name == "li":
                self.writer.prefix = ""
        del self._stack[-1:]  # an inlined document is balanced

    def _cell(self) -> None:
        layout = next((layout for name, _, layout in reversed(self._stack) if name == "table"), True)
        if layout:
            self.writer.line(1)
        else:
            self.writer.space = True

    def _picture(self, event: Event) -> None:
        alternative = event.attribute("alt")
        if alternative is None:
            return
        for part in _split(self._document.html[alternative.start : alternative.end]):
            if not PLACEHOLDER.fullmatch(part):
                self.writer.text(html_entities.unescape(part))
                continue
            item = piece_item(self._document.piece(part), "plain", self._part.urls)
            if item[0] == "t":
                self.writer.tag(item, inline=True)
            else:
                self.writer.value(item)

    def _end_link(self, address: list[Item], begun: int) -> None:
        label = "".join(str(item[1]) for item in self.writer.items[begun:] if item[0] == "c").strip()
        plain = address[0][1] if len(address) == 1 and address[0][0] == "c" else ""
        if not address or plain.startswith("#"):
            return
        if plain.lower().startswith(("mailto:", "tel:", "sms:")):
            plain = plain.partition(":")[2]
            address = [constant(plain)]
        if plain == label:
            return
        labelled = len(self.writer.items) > begun
        if labelled:
            self.writer.items.append(constant(": "))
        else:
            self.writer.flush()
        self.writer.items += address

    def _is_invisible(self, event: Event) -> bool:
        style = event.attribute("style")
        if style is None:
            return event.attribute("hidden") is not None
        return "display:none" in "".join(self._document.html[style.start : style.end].lower().split())


def _split(text: str) -> list[str]:
    parts: list[str] = []
    cursor = 0
    for found in PLACEHOLDER.finditer(text):
        parts += [text[cursor : found.start()], found.group()]
        cursor = found.end()
    return [part for part in [*parts, text[cursor:]] if part]


def _is_inline(rest: str, following: Sequence[Event]) -> bool:
    """Tell whether what a tag encloses goes on in the same line."""
    if PLACEHOLDER.sub("", rest).strip():
        return True
    return not following or following[0].kind != "open" or following[0].name not in (*_BREAKS, "td", "th")
