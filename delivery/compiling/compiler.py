"""Compile an email: from what its author wrote to what a program fills in per person."""

from __future__ import annotations

from collections.abc import Mapping

from css_inline import InlineError

from delivery.compiling import checks, content_checks
from delivery.compiling.contract import (
    Compilation,
    CompileError,
    EmailSource,
    Footer,
    Rendered,
    RenderError,
    Schema,
    Tokens,
)
from delivery.compiling.document import (
    MAX_PIECES,
    Document,
    encode,
    first_moved,
    inline_styles,
    organization_constant,
    parse,
)
from delivery.compiling.escaping import ESCAPES, RESERVED, TRACK, break_written_placeholders
from delivery.compiling.footer import html_footer, preheader_html, text_footer
from delivery.compiling.handlebars import HandlebarsError, substitute
from delivery.compiling.htmlpart import HtmlPart, close_captures, piece_item
from delivery.compiling.links import LinkTable
from delivery.compiling.parts import Item, constant, merge_constants
from delivery.compiling.plaintext import derive_text
from delivery.compiling.positions import check_balance, check_positions
from delivery.compiling.program import VERSION, Program
from delivery.compiling.report import Report
from delivery.compiling.samples import sample_people
from delivery.compiling.sources import Piece
from delivery.compiling.variables import Person, urls_for

_SAMPLE_TOKENS = Tokens("T" * 40, "M" * 40)


def compile_email(
    source: EmailSource,
    *,
    footer: Footer,
    schema: Schema,
    public_url: str,
    allow_raw: bool = False,
    organization: Mapping[str, str],
) -> Compilation:
    """Compile an email into an immutable payload for `Program.load`.

    public_url: where the product's reader pages are, without a slash at the end. organization: name, postal_address,
    website. allow_raw: whether the author may write `| raw`.

    1. Liquid is parsed and its names are checked.
    2. Each value's position in the document is found, and what can't be made safe there is refused.
    3. Styles are inlined, links are rewritten, footer, preheader and open pixel are added, the text part is derived.
    4. The result is filled in for sample people the way SES does it and compared with what was meant.

    Raises CompileError with every finding when one of them blocks.
    """
    return _Compiler(source, footer, schema, public_url.rstrip("/"), allow_raw, organization).run()


class _Compiler:
    def __init__(
        self,
        source: EmailSource,
        footer: Footer,
        schema: Schema,
        public_url: str,
        allow_raw: bool,
        organization: Mapping[str, str],
    ) -> None:
        self._source = source
        self._footer = footer
        self._schema = schema
        self._public_url = public_url
        self._organization = {"name": "", "postal_address": "", "website": "", **organization}
        self._urls = urls_for(public_url)
        sources = {"subject": source.subject, "html": source.html, "text": source.text, "preheader": source.preheader}
        self._report = Report(sources)
        checks.check_size(source, self._report)
        self._pieces = {part: checks.take_apart(text, part, self._report) for part, text in sources.items()}
        self._report.raise_if_blocked()
        for part, pieces in self._pieces.items():
            checks.check_language(pieces, part, schema, self._report, allow_raw=allow_raw)
        self._report.raise_if_blocked()

    def run(self) -> Compilation:
        table, parts = self._build()
        self._report.raise_if_blocked()
        payload: dict[str, object] = {
            "version": VERSION,
            "public_url": self._public_url,
            "organization": self._organization,
            "attributes": sorted(self._schema.attributes),
            "parts": parts,
            "links": table.payload(),
        }
        html_bytes = self._check_result(payload)
        self._report.raise_if_blocked()
        return Compilation(payload, self._report.findings, table.links(), html_bytes)

    def _build(self) -> tuple[LinkTable, dict[str, list[Item]]]:
        pieces = self._pieces["html"]
        document = self._prepare(pieces)
        events = parse(document)
        missing = content_checks.missing_from_html(document, events, self._footer)
        check_balance(document, events, self._report)
        self._report.raise_if_blocked()
        table = LinkTable(document, self._public_url)
        part = HtmlPart(document, events, table, self._urls)
        html = part.items(after_body=self._preheader(), before_end=self._ending(missing))
        parts = {
            "subject": self._flat("subject", "subject"),
            "html": close_captures(html, self._report, "html", entities=True),
            "text": self._text_items(part, missing),
        }
        return table, {name: _harmless(merge_constants(items), html=name == "html") for name, items in parts.items()}

    def _prepare(self, pieces: list[Piece]) -> Document:
        if len(pieces) > MAX_PIECES:
            self._report.block("too_much_liquid", most=str(MAX_PIECES))
            self._report.raise_if_blocked()
        document = encode(pieces, self._organization)
        events = parse(document)
        content_checks.check_structure(events, self._report)
        check_positions(document, events, self._report)
        content_checks.check_links(document, events, self._report)
        content_checks.check_pictures(document, events, self._report)
        self._report.raise_if_blocked()
        try:
            inlined = inline_styles(document, events)
        except InlineError as error:
            self._report.block("styles", error=str(error))
            raise CompileError(self._report.findings) from error
        moved = first_moved(document, inlined)
        if moved is not None:
            self._report.block("moved", start=moved.start)
            self._report.raise_if_blocked()
        return inlined

    def _preheader(self) -> list[Item]:
        if not self._source.preheader.strip():
            return []
        items = self._flat("preheader", "html")
        return [constant(preheader_html(opening=True)), *items, constant(preheader_html(opening=False))]

    def _ending(self, missing: set[str]) -> list[Item]:
        pixel = (
            f'<img src="{ESCAPES["html"](self._public_url)}/o/{TRACK}.gif" width="1" height="1" alt="" '
            'style="display:block;width:1px;height:1px;border:0">'
        )
        return [constant(html_footer(self._footer, missing, self._urls) + pixel)]

    def _flat(self, part: str, position: str) -> list[Item]:
        """Turn a part without markup into items."""
        items: list[Item] = []
        for piece in self._pieces[part]:
            text = (
                RESERVED.sub("", piece.text)
                if piece.kind == "text"
                else organization_constant(piece, self._organization)
            )
            if text is None:
                items.append(piece_item(piece, position, self._urls))
            elif position == "subject":
                items.append(constant(_collapse(text)))
            else:
                items.append(constant(ESCAPES[position](text)))
        if position == "subject":
            items = _strip_ends(merge_constants(items))
        return close_captures(items, self._report, part, entities=False)

    def _text_items(self, part: HtmlPart, missing: set[str]) -> list[Item]:
        if self._source.text.strip():
            items = self._flat("text", "plain")
            lacking = content_checks.missing_from_text(self._pieces["text"], self._footer)
        else:
            items = close_captures(derive_text(part), self._report, "text", entities=False)
            lacking = missing
        return [*items, constant(text_footer(self._footer, lacking, self._urls) + "\n")]

    def _check_result(self, payload: dict[str, object]) -> int:
        """Fill the email in for sample people, once as we do and once as SES does; return the HTML's size."""
        program = Program.load(payload, sign_remainder=lambda *_: "S" * 22)
        people = sample_people(self._schema)
        sizes: list[int] = []
        failure = ""
        for person in people:
            try:
                sizes.append(self._size_for(program, person))
            except RenderError as error:
                failure = str(error)
        if not sizes:
            self._report.block("logic_fails", error=failure)
            return 0
        if failure:
            self._report.add("logic_may_fail", error=failure)
        checks.check_rendered_size(sizes[0], self._report)
        return sizes[0]

    def _size_for(self, program: Program, person: Person) -> int:
        values = program.values(person, _SAMPLE_TOKENS)
        meant = program.render(person, _SAMPLE_TOKENS)
        templates = (program.ses_subject, program.ses_html, program.ses_text)
        try:
            same = meant == Rendered(*(substitute(text, values) for text in templates))
        except HandlebarsError:
            same = False
        if not same:
            self._report.block("mismatch")
        return len(meant.html.encode())


def _harmless(items: list[Item], *, html: bool) -> list[Item]:
    return [constant(break_written_placeholders(item[1], html=html)) if item[0] == "c" else item for item in items]


def _collapse(text: str) -> str:
    # A constant's edges keep one space, for the value beside it.
    inner = " ".join(text.split())
    if not inner:
        return " " if text else ""
    return f"{' ' if text[0].isspace() else ''}{inner}{' ' if text[-1].isspace() else ''}"


def _strip_ends(items: list[Item]) -> list[Item]:
    if items and items[0][0] == "c":
        items[0] = constant(items[0][1].lstrip())
    if items and items[-1][0] == "c":
        items[-1] = constant(items[-1][1].rstrip())
    return merge_constants(items)
