"""Convert Markdown to HTML without touching Liquid."""

from __future__ import annotations

import re
from typing import Final

from markdown_it import MarkdownIt

_LIQUID = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_STANDIN = re.compile("[\U00100000-\U0010ffff]")
_LONE_TAG = re.compile("<p>((?:[\U00100000-\U0010ffff]\\s*)+)</p>\n?")
_MARKDOWN: Final = MarkdownIt("commonmark", {"html": True, "linkify": True, "typographer": False}).enable(
    ["table", "strikethrough", "linkify"]
)


def markdown_to_html(text: str) -> str:
    """Convert Markdown (CommonMark, tables, strikethrough, bare links) to an HTML fragment; Liquid stays as written."""
    found: list[str] = []

    def stand_in(match: re.Match[str]) -> str:
        found.append(match.group())
        return chr(0x100000 + len(found) - 1)

    protected = _LIQUID.sub(stand_in, _STANDIN.sub("", text))
    html = str(_MARKDOWN.render(protected))

    def unwrap(match: re.Match[str]) -> str:
        # A tag alone in its paragraph governs what follows; as a paragraph it would open and close inside one.
        return (
            match.group(1)
            if all(_restored(item).startswith("{%") for item in match.group(1).split())
            else match.group()
        )

    def _restored(characters: str) -> str:
        return found[ord(characters[0]) - 0x100000]

    html = _LONE_TAG.sub(unwrap, html)
    for character in set(_STANDIN.findall(html)):
        html = _percent_free(html, character, found[ord(character) - 0x100000])
    return _percent_encoded(html, found)


def _percent_free(html: str, character: str, liquid: str) -> str:
    return html.replace(character, liquid)


def _percent_encoded(html: str, found: list[str]) -> str:
    # In addresses the parser has percent-encoded the stand-ins.
    def restore(match: re.Match[str]) -> str:
        character = bytes.fromhex(match.group().replace("%", "")).decode()
        return found[ord(character) - 0x100000]

    return re.sub(r"%F4%8[0-9A-F](?:%[89AB][0-9A-F]){2}", restore, html)
