"""Find the links of a document, judge them, and point the trackable ones at the click address.

Tracked is what is absolute http or https. `mailto:`, `tel:`, anchors and the like stay, and so do the addresses of
unsubscribing, preferences and the web view. Scheme and host of a tracked link must be constant.
"""

from __future__ import annotations

import html as html_entities
import itertools
import re
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import idna

from delivery.compiling.contract import Link
from delivery.compiling.document import PLACEHOLDER, Document
from delivery.compiling.escaping import TRACK, normalize_url, url_scheme
from delivery.compiling.htmlscan import Attribute, Event
from delivery.compiling.language import read_expression
from delivery.compiling.parts import Item, constant, merge_constants, output
from delivery.compiling.variables import URLS

LINK_ELEMENTS: Final = frozenset({"a", "area"})
_WEB = re.compile(r"https?:", re.IGNORECASE)
_HOST = re.compile(r"https?://[^/?#\s]+[/?#]", re.IGNORECASE)
_HOST_NAME = re.compile(r"[^/?#:@]*[^\x00-\x7f][^/?#:@]*(?=[/?#:]|\Z)")
_UNSAFE_SCHEMES = frozenset({"javascript", "vbscript", "data", "blob", "file", "about", "livescript", "mocha"})
_KNOWN_SCHEMES = frozenset({"http", "https", "mailto", "tel", "sms", "webcal", "cid", "geo", "callto", "xmpp"})


class Target(NamedTuple):
    """What a link leads to.

    kind: empty, plain (mailto, anchor, …), system (our own pages), constant, variable, whole (a variable from its
    beginning), branches (chosen by tags), or a problem: unsafe, relative, variable_host, unknown_scheme, mixed.
    """

    kind: str
    prefix: str = ""


def link_value(document: Document, attribute: Attribute) -> str:
    """Return a link's address as a browser would read it: entities decoded once, placeholders kept."""
    return html_entities.unescape(document.html[attribute.start : attribute.end]).strip()


def read_target(document: Document, value: str) -> Target:
    """Classify an address."""
    if not value:
        return Target("empty")
    first = PLACEHOLDER.search(value)
    if first is None:
        return _read_constant(value)
    before = value[: first.start()]
    piece = document.piece(first.group())
    if before:
        return _read_prefix(before)
    if piece.kind == "tag":
        return Target("branches")
    path = read_expression(piece.text).path
    if path is not None and path[0] in URLS:
        return Target("system")
    after = value[1:2]
    if after and after not in "/?#" and not PLACEHOLDER.match(after):
        return Target("mixed")
    return Target("whole")


def _read_constant(value: str) -> Target:
    scheme = url_scheme(value)
    if scheme in _UNSAFE_SCHEMES:
        return Target("unsafe")
    if scheme in ("http", "https"):
        return Target("constant" if urlsplit(value).hostname else "relative")
    if value.startswith("#") or scheme in _KNOWN_SCHEMES:
        return Target("plain")
    return Target("unknown_scheme" if scheme else "relative")


def _read_prefix(before: str) -> Target:
    scheme = url_scheme(before)
    if scheme in _UNSAFE_SCHEMES:
        return Target("unsafe")
    if _WEB.match(before):
        host = _HOST.match(before)
        return Target("variable", before) if host else Target("variable_host")
    if scheme in _KNOWN_SCHEMES or before.startswith("#"):
        return Target("plain")
    return Target("unknown_scheme" if scheme else "relative")


def split_branches(document: Document, value: str) -> list[str]:
    """Cut an address that begins with a tag at its tags; tags stand alone."""
    found: list[str] = [""]
    for character in value:
        if PLACEHOLDER.match(character) and document.piece(character).kind == "tag":
            found += [character, ""]
        else:
            found[-1] += character
    return [part for part in found if part.strip()]


def canonical_url(url: str) -> str:
    """Write an address in ASCII: host in punycode, the rest percent-encoded where it must be."""
    if url.isascii():
        return normalize_url(url)
    start, _, rest = url.partition("//")
    host = _HOST_NAME.match(rest)
    if host is None:
        return normalize_url(url)
    try:
        encoded = idna.encode(host.group(), uts46=True).decode()
    except idna.IDNAError:
        return normalize_url(url)
    return normalize_url(f"{start}//{encoded}{rest[host.end() :]}")


class LinkTable:
    """Numbers links and rewrites them. Links with the same target share a number."""

    def __init__(self, document: Document, public_url: str) -> None:
        self._document = document
        self._public_url = public_url
        self._found: dict[str, dict[str, object]] = {}
        self._numbers: dict[str, int] = {}
        self._labels: dict[str, str] = {}
        self._positions: dict[str, list[int]] = {}
        self._count = 0

    def rewrite(self, value: str, label: str) -> list[Item]:
        """Turn an address into items of plain text, not yet escaped for an attribute."""
        self._count += 1
        target = read_target(self._document, value)
        if target.kind != "branches":
            return self._rewrite_one(value, target, label)
        items: list[Item] = []
        for part in split_branches(self._document, value):
            if PLACEHOLDER.fullmatch(part):
                items += self._items(part, begins=True)
            else:
                items += self._rewrite_one(part.strip(), read_target(self._document, part.strip()), label)
        return items

    def _rewrite_one(self, value: str, target: Target, label: str) -> list[Item]:
        if target.kind == "constant":
            number = self._number(canonical_url(value), canonical_url(value), label, variable=False)
            return [constant(f"{self._public_url}/c/{TRACK}/{number}")]
        if target.kind == "variable":
            number = self._number(self._readable(value), canonical_url(target.prefix), label, variable=True)
            remainder = self._items(value[len(target.prefix) :], begins=False)
            return [constant(f"{self._public_url}/c/"), ["l", number, merge_constants(remainder)]]
        return self._items(value, begins=True)

    def _items(self, text: str, *, begins: bool) -> list[Item]:
        items: list[Item] = []
        for part in re.split(f"({PLACEHOLDER.pattern})", text):
            if not PLACEHOLDER.fullmatch(part):
                items.append(constant(normalize_url(part) if not begins else part))
                begins = begins and not part.strip()
                continue
            piece = self._document.piece(part)
            if piece.kind == "tag":
                items.append(["t", piece.name, piece.text])
            else:
                items.append(output(read_expression(piece.text).text, "url" if begins else "urlpart"))
                begins = False
        return items

    def _number(self, url: str, target: str, label: str, *, variable: bool) -> int:
        if url not in self._found:
            number = self._numbers[url] = len(self._found) + 1
            self._found[url] = {"no": number, "url": url, "target": target, "variable": variable}
            self._labels[url] = label
            self._positions[url] = []
        elif not self._labels[url]:
            self._labels[url] = label
        self._positions[url].append(self._count)
        return self._numbers[url]

    def _readable(self, value: str) -> str:
        return PLACEHOLDER.sub(lambda found: describe(self._document, found.group()), value)

    def payload(self) -> list[dict[str, object]]:
        """Return the links as the payload keeps them."""
        return list(self._found.values())

    def links(self) -> list[Link]:
        """Return the links as people see them."""
        return [
            Link(number, url, self._labels[url], bool(entry["variable"]), tuple(self._positions[url]))
            for number, (url, entry) in enumerate(self._found.items(), start=1)
        ]


def describe(document: Document, character: str) -> str:
    """Write a placeholder as its author did."""
    piece = document.piece(character)
    if piece.kind == "output":
        return f"{{{{ {piece.text} }}}}"
    return f"{{% {piece.name} {piece.text} %}}" if piece.kind == "tag" else ""


def link_label(document: Document, events: Sequence[Event], index: int) -> str:
    """Collect what a reader sees of the link that begins at an event: its text, or else its picture's description."""
    texts: list[str] = []
    pictures: list[str] = []
    name = events[index].name
    following = itertools.islice(events, index + 1, None)
    for event in itertools.takewhile(lambda event: event.kind != "close" or event.name != name, following):
        if event.kind == "text":
            texts.append(document.html[event.start : event.end])
        elif event.kind == "open" and event.name == "img":
            alternative = event.attribute("alt")
            pictures.append(document.html[alternative.start : alternative.end] if alternative else "")
    for candidate in ("".join(texts), " ".join(pictures)):
        readable = PLACEHOLDER.sub(lambda found: describe(document, found.group()), html_entities.unescape(candidate))
        label = " ".join(readable.split())
        if label:
            return label[:200]
    return ""
