"""What a compiled part consists of.

A part (subject, HTML, text) is a list of items, which is also its form in the payload:

- `["c", text]`: constant text; the marks TRACK and MANAGE in it stand for the tokens
- `["o", expression, position]`: a value, escaped for its position
- `["t", name, expression]`: a tag
- `["l", number, items]`: the remainder of link `number`, made of constants, values and tags
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from liquid.token import TOKEN_CONTENT, Token

from delivery.compiling.escaping import LINK_CLOSE, LINK_OPEN, LINK_SPLIT
from delivery.compiling.language import BLOCK_TAGS, output_tokens, tag_tokens

# JSON has no tuples and mypy no way to say "a list whose first member tells the rest".
Item: TypeAlias = list[Any]

_BLOCK_ENDS = frozenset(BLOCK_TAGS.values())


def constant(text: str) -> Item:
    """Make an item of constant text."""
    return ["c", text]


def output(expression: str, position: str) -> Item:
    """Make an item that writes a value."""
    return ["o", expression, position]


def merge_constants(items: Iterable[Item]) -> list[Item]:
    """Join neighbouring constants and drop empty ones."""
    merged: list[Item] = []
    for item in items:
        if item[0] != "c":
            merged.append(item)
        elif not item[1]:
            continue
        elif merged and merged[-1][0] == "c":
            merged[-1] = constant(merged[-1][1] + item[1])
        else:
            merged.append(item)
    return merged


def top_level(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Group items: each outside any block alone, each block whole from its opening to its closing tag."""
    group: list[Item] = []
    depth = 0
    for item in items:
        group.append(item)
        if item[0] == "t":
            depth += (item[1] in BLOCK_TAGS) - (item[1] in _BLOCK_ENDS)
        if depth == 0:
            yield group
            group = []


def to_tokens(items: Iterable[Item]) -> Iterator[Token]:
    """Turn items into the library's tokens; outputs get the filter of their position."""
    for item in items:
        if item[0] == "c":
            yield Token(TOKEN_CONTENT, item[1], 0, item[1])
        elif item[0] == "o":
            expression = f"{item[1]} | _{item[2]}"
            yield from output_tokens(expression, expression, 0)
        elif item[0] == "t":
            yield from tag_tokens(item[1], item[2], item[2], 0)
        else:
            yield from to_tokens([constant(f"{LINK_OPEN}{item[1]}{LINK_SPLIT}"), *item[2], constant(LINK_CLOSE)])
