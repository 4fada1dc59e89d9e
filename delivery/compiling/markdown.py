"""Convert Markdown to HTML without touching Liquid."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from markdown_it import MarkdownIt

_LIQUID = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_STANDIN = re.compile("[\U00100000-\U0010ffff]")
_ALONE = re.compile("<p>((?:[\U00100000-\U0010ffff]\\s*)+)</p>\n?")
_MOST: Final = 0xFFFE

_MARKDOWN: Final = MarkdownIt("commonmark", {"html": True, "linkify": True}).enable(
    ["table", "strikethrough", "linkify"]
)


def markdown_to_html(text: str) -> str:
    """Convert Markdown (CommonMark, tables, strikethrough, bare links) to an HTML fragment; Liquid stays as written.

    A tag that stands alone in its paragraph governs the paragraphs that follow, and so gets none of its own.
    """
    liquid: list[str] = []

    def protect(found: re.Match[str]) -> str:
        if len(liquid) > _MOST:
            return found.group()
        liquid.append(found.group())
        return chr(0x100000 + len(liquid) - 1)

    def is_tag(character: str) -> bool:
        return liquid[ord(character) - 0x100000].startswith("{%")

    def unwrap(found: re.Match[str]) -> str:
        return found.group(1) if all(map(is_tag, "".join(found.group(1).split()))) else found.group()

    html = str(_MARKDOWN.render(_LIQUID.sub(protect, _STANDIN.sub("", text))))
    html = _ALONE.sub(unwrap, html)
    # In addresses the converter has percent-encoded the characters that stand for Liquid.
    encoded = {quote(chr(0x100000 + number)): written for number, written in enumerate(liquid)}
    html = re.sub("%F4%8[0-9A-F]%[89AB][0-9A-F]%[89AB][0-9A-F]", lambda found: encoded.get(found.group(), ""), html)
    return _STANDIN.sub(lambda found: liquid[ord(found.group()) - 0x100000], html)
