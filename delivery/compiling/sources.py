"""Take an author's source apart into text, outputs and tags, and say where it is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from liquid.exceptions import LiquidError, LiquidSyntaxError
from liquid.token import TOKEN_CONTENT, TOKEN_EXPRESSION, TOKEN_OUTPUT, TOKEN_TAG, Token

from delivery.compiling.language import AUTHOR, BLOCK_TAGS, BRANCH_TAGS

_MAX_EXPRESSION = 4_000
_OPENING = re.compile(r"\{\{|\{%(?:-?\s{0,20}(?P<block>raw|comment|doc)\b)?")
_BLOCK_CLOSINGS = {name: re.compile(rf"\{{%-?\s{{0,20}}end{name}\b") for name in ("raw", "comment", "doc")}


class Piece(NamedTuple):
    """A stretch of a source: kind is text, output or tag.

    text: the text itself, the output's expression, or the tag's expression; name: the tag's name.
    start: where it begins in the source.
    """

    kind: str
    text: str
    start: int
    name: str = ""


def split_source(source: str) -> list[Piece]:
    """Take a source apart. Comments vanish, raw blocks become text, `{%-` and `-%}` have had their effect.

    Raises LiquidSyntaxError, whose token says where.
    """
    refuse_endless(source)
    tokens = list(AUTHOR.tokenizer()(source))
    AUTHOR.parse_tokens(tokens)
    return list(_pieces(tokens))


def refuse_endless(source: str) -> None:
    """Raise LiquidSyntaxError for what is never closed: the library's patterns take quadratic time to find that out."""
    position = 0
    while True:
        found = _OPENING.search(source, position)
        if found is None:
            return
        name = found.group("block")
        closing = _BLOCK_CLOSINGS[name].search(source, found.end()) if name else None
        if name:
            stop = closing.end() if closing else -1
        else:
            end = source.find("}}" if found.group().startswith("{{") else "%}", found.end())
            stop = end + 2 if 0 <= end <= found.end() + _MAX_EXPRESSION else -1
        if stop < 0:
            token = Token(TOKEN_CONTENT, found.group(), found.start(), source)
            raise LiquidSyntaxError(f"this {found.group()[:2]} is never closed", token=token)
        position = stop


def _pieces(tokens: Sequence[Token]) -> Iterator[Piece]:
    for index, token in enumerate(tokens):
        following = tokens[index + 1] if index + 1 < len(tokens) else None
        expression = following.value if following is not None and following.kind == TOKEN_EXPRESSION else ""
        if token.kind == TOKEN_CONTENT:
            yield Piece("text", token.value, _content_start(token))
        elif token.kind == TOKEN_OUTPUT:
            yield Piece("output", expression, token.start_index)
        elif token.kind == TOKEN_TAG and token.value not in ("comment", "endcomment", "#"):
            yield Piece("tag", expression, token.source.rfind("{%", 0, token.start_index), token.value)


def _content_start(token: Token) -> int:
    # A stripped or raw text begins somewhat later than its token says.
    found = token.source.find(token.value, token.start_index)
    return token.start_index if found < 0 else found


def error_position(error: LiquidError, source: str) -> int:
    """Find the beginning of the tag or output that an error is about."""
    start = error.token.start_index if error.token is not None else -1
    if 0 <= start < len(source):
        return max(source.rfind("{{", 0, start + 2), source.rfind("{%", 0, start + 2), 0)
    # The library found the end of an expression, or of everything, too early and doesn't say where.
    opened: list[int] = []
    for token in AUTHOR.tokenizer()(source):
        if token.kind == TOKEN_OUTPUT and _fails(source, token.start_index, ""):
            return token.start_index
        if token.kind == TOKEN_TAG:
            begin = source.rfind("{%", 0, token.start_index)
            if _fails(source, begin, BLOCK_TAGS.get(token.value, "")) and token.value not in BRANCH_TAGS:
                return begin
            if token.value in BLOCK_TAGS:
                opened.append(begin)
            elif token.value in BLOCK_TAGS.values() and opened:
                opened.pop()
    return opened[-1] if opened else len(source)


def syntax_error_position(source: str) -> int:
    """Find where a source's Liquid is broken; -1 when it is sound."""
    try:
        split_source(source)
    except LiquidError as error:
        return error_position(error, source)
    return -1


def _fails(source: str, begin: int, end_tag: str) -> bool:
    """Tell whether the tag at a position is wrong by itself."""
    found = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL).match(source, begin)
    if found is None or re.match(r"\{%-?\s*(?:end|else|elsif|when|raw|case)", found.group()):
        return False
    try:
        AUTHOR.parse_tokens(AUTHOR.tokenizer()(found.group() + (f"{{% {end_tag} %}}" if end_tag else "")))
    except LiquidError:
        return True
    return False
