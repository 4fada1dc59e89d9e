"""What is worth telling an author about an email, and what keeps it from being sent."""

from __future__ import annotations

import difflib
import html as html_entities
import re
from collections.abc import Iterable, Sequence
from typing import Final

from liquid.exceptions import LiquidError

from delivery.compiling.contract import EmailSource, Footer, Schema
from delivery.compiling.document import PLACEHOLDER, Document
from delivery.compiling.htmlscan import Attribute, Event
from delivery.compiling.language import (
    AUTHOR,
    BLOCK_TAGS,
    Piece,
    Reference,
    error_position,
    filter_names,
    output_tokens,
    read_expression,
    references,
    split_source,
    tag_tokens,
)
from delivery.compiling.links import LINK_ELEMENTS, link_value, read_target, split_branches
from delivery.compiling.report import Report
from delivery.compiling.variables import FIELDS, ORGANIZATION, URLS

MAX_SOURCE_BYTES: Final = 1_000_000
CLIPPING_BYTES: Final = 102 * 1024
"""Gmail cuts a message off after about 102 KB and hides the rest behind a link."""

_RESERVED_NAMES = frozenset({*FIELDS, *URLS, "organization", "subscriber", "attributes", "forloop"})
_OWN_NAME = re.compile(r"\s*([\w-]+)")
_FOREIGN_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
_PICTURE_SCHEMES = frozenset({"http", "https", "cid"})


def check_size(source: EmailSource, report: Report) -> None:
    """Refuse what is too large to be an email."""
    size = len(source.html.encode())
    if size > MAX_SOURCE_BYTES:
        report.block(
            "too_large",
            "The HTML is {size} KB; at most 1000 KB can be sent.",
            size=str(round(size / 1000)),
            hint="Upload pictures and link to them instead of embedding them.",
        )
        report.raise_if_blocked()


def check_rendered_size(size: int, report: Report) -> None:
    """Warn when Gmail would clip the email."""
    if size > CLIPPING_BYTES:
        report.add(
            "clipped",
            "The email is {size} KB; Gmail cuts it off after 102 KB.",
            size=str(round(size / 1024)),
            hint="Shorten it, or the footer and the open pixel stay unseen.",
        )


def take_apart(text: str, part: str, report: Report) -> list[Piece]:
    """Parse a part's Liquid; a syntax error becomes a finding with line and column."""
    try:
        pieces = split_source(text)
    except LiquidError as error:
        report.block(
            "syntax",
            "Liquid syntax error: {error}",
            part=part,
            error=str(error.message),
            start=error_position(error, text),
        )
        return []
    for piece in pieces:
        found = _FOREIGN_COMMENT.search(piece.text) if piece.kind == "text" else None
        if found and "<style" not in text[max(0, piece.start - 2000) : piece.start].rpartition("</style")[2]:
            report.add(
                "foreign_comment",
                "“{text}” is not a comment in Liquid and would be seen by readers.",
                part=part,
                start=piece.start + found.start(),
                text=found.group()[:40],
                hint="Write {% comment %}…{% endcomment %}.",
            )
    return pieces


def check_language(pieces: Sequence[Piece], part: str, schema: Schema, report: Report, *, allow_raw: bool) -> None:
    """Check names of variables, filters and assignments, and the use of `| raw`."""
    tokens = []
    for piece in pieces:
        if piece.kind == "output":
            expression = read_expression(piece.text)
            if expression.raw and not allow_raw:
                report.block(
                    "raw_not_allowed",
                    "You are not allowed to use “| raw”.",
                    part=part,
                    start=piece.start,
                    hint="Take it out; the value is then shown as text.",
                )
            text = "''" if expression.literal is not None else expression.text
            tokens += output_tokens(text, text, piece.start)
            _check_own_address(piece, part, report)
        elif piece.kind == "tag":
            tokens += tag_tokens(piece.name, piece.text, piece.text, piece.start)
            _check_own_name(piece, part, report)
    template = AUTHOR.parse_tokens(tokens)
    for name in filter_names(template):
        if name not in AUTHOR.filters:
            close = difflib.get_close_matches(name, AUTHOR.filters, 1)
            report.block(
                "unknown_filter",
                "There is no filter “{name}”.",
                part=part,
                name=name,
                start=_mention(pieces, name),
                hint=f"Did you mean {close[0]}?" if close else "",
            )
    assigned = set(template.analyze(include_partials=False).locals)
    for reference in references(template):
        check_variable(reference, pieces, part, schema, report, assigned)


def _check_own_address(piece: Piece, part: str, report: Report) -> None:
    if any(re.search(rf"\b{url}\b\s*\|", piece.text) for url in URLS):
        report.block(
            "address_filter",
            "unsubscribe_url, preferences_url and web_view_url take no filters.",
            part=part,
            start=piece.start,
        )


def _check_own_name(piece: Piece, part: str, report: Report) -> None:
    if piece.name not in ("assign", "capture", "for", "increment", "decrement"):
        return
    found = _OWN_NAME.match(piece.text)
    if found and found.group(1) in _RESERVED_NAMES:
        report.block(
            "reserved_name",
            "“{name}” already means something; choose another name.",
            part=part,
            start=piece.start,
            name=found.group(1),
        )


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
    close = difflib.get_close_matches(name, known, 1)
    shown = ".".join(
        reference.path[: len(reference.path) - len(path) + (2 if root in ("attributes", "organization") else 1)]
    )
    report.add(
        "unknown_variable",
        "Nobody has “{name}”.",
        part=part,
        start=_mention(pieces, name),
        name=shown,
        hint=f"Did you mean {close[0]}?" if close else "",
        suggestion=close[0] if close else "",
    )


def _mention(pieces: Sequence[Piece], name: str) -> int:
    pattern = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
    return next((piece.start for piece in pieces if piece.kind != "text" and pattern.search(piece.text)), -1)


def check_links(document: Document, events: Sequence[Event], report: Report) -> None:
    """Report addresses that are unsafe, lead nowhere, or can't be tracked."""
    for event in events:
        if event.kind != "open":
            continue
        for attribute in event.attributes:
            if attribute.name in ("href", "action", "formaction", "xlink:href"):
                _check_link(document, event, attribute, report)


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
        report.block(
            "unsafe_link",
            "The link “{url}” is not safe to send.",
            start=start,
            url=shown,
            hint="Link to an address that begins with https://.",
        )
    if event.name not in LINK_ELEMENTS:
        return
    if kinds & {"variable_host", "mixed"}:
        report.block(
            "variable_host",
            "In the link “{url}” the scheme and host must be written out.",
            start=start,
            url=shown,
            hint="For example https://shop.example/{{ attributes.code }}.",
        )
    if kinds & {"relative"}:
        report.add(
            "relative_link",
            "The link “{url}” leads nowhere in an email.",
            start=start,
            url=shown,
            hint="Write the whole address, beginning with https://.",
        )
    if kinds & {"unknown_scheme"}:
        report.add("unknown_scheme", "Most mail programs can't open “{url}”.", start=start, url=shown)
    if kinds & {"whole"}:
        report.add(
            "untracked_link",
            "A link that is a variable as a whole can't be tracked.",
            start=start,
            hint="Write scheme and host out: https://shop.example/{{ attributes.code }}.",
        )


def check_pictures(document: Document, events: Sequence[Event], report: Report) -> None:
    """Report pictures that readers won't see, and pictures without a description."""
    for event in events:
        if event.kind != "open" or event.name != "img":
            continue
        start = document.source_position(event.start)
        if event.attribute("alt") is None:
            report.add(
                "missing_alt",
                "A picture has no description (alt).",
                start=start,
                hint='Describe it, or write alt="" if it is decoration.',
            )
        source = event.attribute("src")
        value = link_value(document, source) if source else ""
        if not value:
            report.add("empty_picture", "A picture has no address (src).", start=start)
        elif not PLACEHOLDER.match(value):
            _check_picture(read_scheme(value), start, value, report)


def read_scheme(value: str) -> str:
    """Return an address's scheme, lower case, "" for none."""
    return value.partition(":")[0].strip().lower() if re.match(r"\s*[A-Za-z][\w+.-]*:", value) else ""


def _check_picture(scheme: str, start: int, value: str, report: Report) -> None:
    if scheme == "data":
        report.block(
            "embedded_picture",
            "A picture is embedded in the HTML; Gmail and others don't show it.",
            start=start,
            hint="Upload it and link to its address.",
        )
    elif scheme in ("blob", "file"):
        report.block(
            "local_picture",
            "The picture “{url}” exists on your computer only.",
            start=start,
            url=value[:80],
            hint="Upload it and link to its address.",
        )
    elif not scheme:
        report.add(
            "relative_picture",
            "The picture “{url}” can't be found from an email.",
            start=start,
            url=value[:80],
            hint="Write the whole address, beginning with https://.",
        )
    elif scheme not in _PICTURE_SCHEMES:
        report.block("unsafe_link", "The link “{url}” is not safe to send.", start=start, url=value[:80])


def missing_from_footer(pieces: Iterable[Piece], footer: Footer, *, html: bool) -> set[str]:
    """List what the document lacks for certain: what stands in a condition may not be shown to everybody."""
    missing = {"unsubscribe", "preferences", "address"}
    depth = 0
    constant: list[str] = []
    before = ""
    for piece in pieces:
        if piece.kind == "tag":
            depth += (piece.name in BLOCK_TAGS) - (piece.name in BLOCK_TAGS.values())
        elif piece.kind == "text":
            constant.append(piece.text)
            before = piece.text
        elif not depth:
            path = read_expression(piece.text).path or ("",)
            linked = not html or re.search(r"""href\s*=\s*["']\s*\Z""", before, re.IGNORECASE)
            if path == ("unsubscribe_url",) and linked:
                missing.discard("unsubscribe")
            elif path == ("preferences_url",) and linked:
                missing.discard("preferences")
            elif path == ("organization", "postal_address"):
                missing.discard("address")
    written = " ".join(re.sub(r"<[^>]*>", " ", html_entities.unescape(" ".join(constant))).split())
    address = " ".join(footer.postal_address.split())
    if address and address in written:
        missing.discard("address")
    return missing
