"""What is worth telling an author about an email, and what keeps it from being sent."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Final

from liquid.exceptions import LiquidError

from delivery.compiling.contract import EmailSource, Schema
from delivery.compiling.language import (
    AUTHOR,
    Reference,
    filter_names,
    output_tokens,
    read_expression,
    references,
    tag_tokens,
)
from delivery.compiling.report import Report
from delivery.compiling.sources import Piece, error_position, split_source
from delivery.compiling.variables import FIELDS, ORGANIZATION, URLS

MAX_SOURCE_BYTES: Final = 1_000_000
CLIPPING_BYTES: Final = 102 * 1024
"""Gmail cuts a message off after about 102 KB and hides the rest behind a link."""

_RESERVED_NAMES = frozenset({*FIELDS, *URLS, "organization", "subscriber", "attributes", "forloop"})
_OWN_ADDRESS = re.compile(rf"\b(?:{'|'.join(URLS)})\b")
_OWN_NAME = re.compile(r"\s*([\w-]+)")
_FOREIGN_COMMENT = re.compile(r"\{#[^#{}]{0,200}#\}")
_PICTURE_SCHEMES = frozenset({"http", "https", "cid"})


def check_size(source: EmailSource, report: Report) -> None:
    """Refuse what is too large to be an email."""
    size = len(source.html.encode())
    if size > MAX_SOURCE_BYTES:
        report.block("too_large", size=str(round(size / 1000)))
        report.raise_if_blocked()


def check_rendered_size(size: int, report: Report) -> None:
    """Warn when Gmail would clip the email."""
    if size > CLIPPING_BYTES:
        report.add("clipped", size=str(round(size / 1024)))


def take_apart(text: str, part: str, report: Report) -> list[Piece]:
    """Parse a part's Liquid; a syntax error becomes a finding with line and column."""
    try:
        pieces = split_source(text)
    except LiquidError as error:
        report.block("syntax", part=part, error=str(error.message), start=error_position(error, text))
        return []
    for piece in pieces:
        found = _FOREIGN_COMMENT.search(piece.text) if piece.kind == "text" else None
        if found and "<style" not in text[max(0, piece.start - 2000) : piece.start].rpartition("</style")[2]:
            report.add("foreign_comment", part=part, start=piece.start + found.start(), text=found.group()[:40])
    return pieces


def check_language(pieces: Sequence[Piece], part: str, schema: Schema, report: Report, *, allow_raw: bool) -> None:
    """Check names of variables, filters and assignments, and the use of `| raw`."""
    tokens = []
    for piece in pieces:
        if piece.kind == "output":
            expression = read_expression(piece.text)
            if expression.raw and not allow_raw:
                report.block("raw_not_allowed", part=part, start=piece.start)
            text = "''" if expression.literal is not None else expression.text
            tokens += output_tokens(text, text, piece.start)
            _check_own_address(piece, part, report)
        elif piece.kind == "tag":
            tokens += tag_tokens(piece.name, piece.text, piece.text, piece.start)
            _check_own_address(piece, part, report)
            _check_own_name(piece, part, report)
    template = AUTHOR.parse_tokens(tokens)
    for name in filter_names(template):
        if name not in AUTHOR.filters:
            near = _nearest(name, AUTHOR.filters)
            report.block("unknown_filter", part=part, name=name, start=_mention(pieces, name), suggestion=near)
    assigned = set(template.analyze(include_partials=False).locals)
    for reference in references(template):
        check_variable(reference, pieces, part, schema, report, assigned)


def _check_own_address(piece: Piece, part: str, report: Report) -> None:
    if piece.kind == "output":
        path = read_expression(piece.text).path
        allowed = path is not None and path[0] in URLS
    else:
        allowed = piece.name in ("if", "elsif", "unless")
    if not allowed and _OWN_ADDRESS.search(piece.text):
        report.block("address_filter", part=part, start=piece.start)


def _check_own_name(piece: Piece, part: str, report: Report) -> None:
    if piece.name not in ("assign", "capture", "for", "increment", "decrement"):
        return
    found = _OWN_NAME.match(piece.text)
    if found and found.group(1) in _RESERVED_NAMES:
        report.block("reserved_name", part=part, start=piece.start, name=found.group(1))


def check_variable(
    reference: Reference, pieces: Sequence[Piece], part: str, schema: Schema, report: Report, assigned: set[str]
) -> None:
    """Report a variable that nobody has, with the nearest that exists."""
    path = reference.path[1:] if reference.path[:1] == ("subscriber",) else reference.path
    if not path or path[0] in assigned:
        return
    root = path[0]
    if root == "attributes":
        known, name = list(schema.attributes), path[1] if len(path) > 1 else ""
    elif root == "organization" and path == reference.path:
        known, name = list(ORGANIZATION), path[1] if len(path) > 1 else ""
    else:
        known, name = [*FIELDS, *schema.attributes, "attributes"], root
        if path == reference.path:
            known += [*URLS, "organization"]
    if not name or name in known:
        return
    shown = ".".join(
        reference.path[: len(reference.path) - len(path) + (2 if root in ("attributes", "organization") else 1)]
    )
    near = _nearest(name, known)
    report.add("unknown_variable", part=part, start=_mention(pieces, name), name=shown, suggestion=near)


def _nearest(name: str, known: Iterable[str]) -> str:
    return next(iter(difflib.get_close_matches(name, list(known), 1)), "")


def _mention(pieces: Sequence[Piece], name: str) -> int:
    pattern = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
    return next((piece.start for piece in pieces if piece.kind != "text" and pattern.search(piece.text)), -1)
