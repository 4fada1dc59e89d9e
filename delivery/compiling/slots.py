"""Lay constants and slots out so that SES's Handlebars gives back exactly what was meant.

Handlebars reads more into its surroundings than `{{name}}`: `{{{s0}}` and `{{s0}}}` are other tags or errors, and a
backslash before `{{` turns the placeholder into text. So whatever Handlebars could misread moves out of the constants
into slot values, which it never reads: every `{{`, a `{` or backslash before a slot, a `}` after one.
https://github.com/handlebars-lang/handlebars.js/blob/master/spec/parser.js shows what is read how.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from delivery.compiling.escaping import MANAGE, TRACK

_OPENING = re.compile(r"([\\{]*\{\{+)")
_TOKENS = re.compile(f"([{TRACK}{MANAGE}])")
_TRAILING = re.compile(r"[\\{]+\Z")
_LEADING = re.compile(r"\}+")


class Slot(NamedTuple):
    """A value between two constants. key says which value; before and after are constant text that it carries."""

    key: tuple[object, ...]
    before: str = ""
    after: str = ""


LITERAL = ("literal",)


def lay_out(sequence: Iterable[str | Slot]) -> list[str | Slot]:
    """Join neighbouring constants, cut them at tokens and openings, and move what would be misread into slots."""
    joined: list[str | Slot] = []
    for entry in sequence:
        if isinstance(entry, str) and joined and isinstance(joined[-1], str):
            joined[-1] += entry
        else:
            joined.append(entry)
    return move_edges(
        piece for entry in joined for piece in (split_constant(entry) if isinstance(entry, str) else [entry])
    )


def split_constant(text: str) -> list[str | Slot]:
    """Cut a constant where tokens stand and where Handlebars would see an opening."""
    found: list[str | Slot] = []
    for piece in _TOKENS.split(text):
        if piece in (TRACK, MANAGE) and piece:
            found.append(Slot(("token", piece)))
            continue
        for index, part in enumerate(_OPENING.split(piece)):
            if index % 2:
                found.append(Slot(LITERAL, part))
            elif part:
                found.append(part)
    return found


def move_edges(sequence: Iterable[str | Slot]) -> list[str | Slot]:
    """Move what Handlebars would misread beside a slot into the slot. Constants are apart from each other."""
    moved: list[str | Slot] = []
    for entry in sequence:
        last = moved[-1] if moved else None
        if isinstance(entry, str):
            leading = _LEADING.match(entry)
            if leading and isinstance(last, Slot):
                moved[-1] = last._replace(after=last.after + leading.group())
                entry = entry[leading.end() :]
            if entry:
                moved.append(entry)
            continue
        if isinstance(last, str):
            trailing = _TRAILING.search(last)
            if trailing:
                entry = entry._replace(before=trailing.group() + entry.before)
                if trailing.start():
                    moved[-1] = last[: trailing.start()]
                else:
                    moved.pop()
        moved.append(entry)
    return moved


def alternate(sequence: Sequence[str | Slot], name_of: Callable[[Slot], str]) -> tuple[str, ...]:
    """Write the sequence as constant, slot name, constant, …, beginning and ending with a constant."""
    segments = [""]
    for entry in sequence:
        if isinstance(entry, str):
            segments[-1] += entry
        else:
            segments += [name_of(entry), ""]
    return tuple(segments)


def to_handlebars(segments: Sequence[str]) -> str:
    """Write segments as a template."""
    return "".join(f"{{{{{part}}}}}" if index % 2 else part for index, part in enumerate(segments))
