"""From what the author wrote to the whole document that is compiled: Markdown converted, the template around it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

from campaigns.models import Campaign, ContentFormat, TemplateVersion
from delivery.compiling import EmailSource, Finding, line_and_column, markdown_to_html, syntax_error_position

REGION = re.compile(r"\{\{-?\s*content\s*-?\}\}")
WHOLE_DOCUMENT = re.compile(r"<!doctype\b|<html\b", re.IGNORECASE)

# Templates give sections their margins; HTML authors place them themselves.
SECTION = (
    '<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0"><tbody><tr>'
    '<td class="section">{html}</td></tr></tbody></table>'
)
BARE = (
    '<!doctype html>\n<html lang="{lang}"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="color-scheme" content="light dark"><title>{title}</title></head><body>\n'
    "{{{{ content }}}}\n</body></html>\n"
)


_LIQUID = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Composition:
    """A document and where the author's part stands in it.

    start: where in the document that part begins; inside: what stands there, which for Markdown is the HTML that was
    made of what was written.
    """

    source: EmailSource
    start: int
    inside: str
    written: str
    template_name: str

    @property
    def first_line(self) -> int:
        """The line of the document on which the author's first line is."""
        return self.source.html.count("\n", 0, self.start) + 1

    @property
    def lines(self) -> int:
        """How many lines of the document are the author's."""
        return self.inside.count("\n") + 1

    def author_place(self, finding: Finding) -> tuple[int, int]:
        """Line and column in the author's own text, from 1; (0, 0) when it is elsewhere or unknown."""
        if finding.part != "html" or not finding.line:
            return (finding.line, finding.column) if finding.part != "html" else (0, 0)
        if self.inside != self.written:
            return self._place_in_markdown(finding)
        line = finding.line - self.first_line + 1
        column = finding.column - (self._column_before if line == 1 else 0)
        return (line, column) if 1 <= line <= self.lines and column > 0 else (0, 0)

    def template_place(self, finding: Finding) -> tuple[int, int]:
        """Line and column in the template, from 1; (0, 0) when the place is not in the template."""
        if not self.template_name or finding.part != "html" or not finding.line:
            return 0, 0
        if (finding.line, finding.column) <= (self.first_line, self._column_before):
            return finding.line, finding.column
        after = finding.line - self.first_line - self.lines + 1
        return (self.first_line + after, finding.column) if after > 0 else (0, 0)

    @property
    def _column_before(self) -> int:
        return self.start - self.source.html.rfind("\n", 0, self.start) - 1

    def _place_in_markdown(self, finding: Finding) -> tuple[int, int]:
        """Look for the piece of Liquid that a finding is about: it is the same in Markdown and HTML."""
        if finding.code == "syntax" and (broken := syntax_error_position(self.written)) >= 0:
            return line_and_column(self.written, broken)
        at = -1
        for _line in range(finding.line - 1):
            at = self.source.html.find("\n", at + 1)
        at += finding.column - self.start
        found = _LIQUID.match(self.inside, at) if at >= 0 else None
        if found is None:
            return 0, 0
        place = -1
        for _time in range(self.inside.count(found.group(), 0, at) + 1):
            place = self.written.find(found.group(), place + 1)
        return line_and_column(self.written, place)


def newest_version(campaign: Campaign) -> TemplateVersion | None:
    """The version of the campaign's template that is used today."""
    if campaign.template_id is None:
        return None
    return TemplateVersion.objects.filter(template_id=campaign.template_id).order_by("-number").first()


def compose_email(campaign: Campaign, *, version: TemplateVersion | None = None) -> Composition:
    """Put the content of a campaign into the newest version of its template, or into a bare document.

    A body that is a whole document stays as it is: a template around it would nest one document in another.
    """
    body = inside = campaign.body
    is_markdown = campaign.format == ContentFormat.MARKDOWN
    if is_markdown and body.strip():
        inside = SECTION.format(html=markdown_to_html(body))
    version = version or newest_version(campaign)
    if not is_markdown and WHOLE_DOCUMENT.search(body[:2000]):
        return _composition(campaign, "", inside, "", template_name="")
    frame = version.html if version else bare_document(campaign)
    found = REGION.search(frame)
    before, after = (frame[: found.start()], frame[found.end() :]) if found else (frame, "")
    return _composition(campaign, before, inside, after, template_name=version.template.name if version else "")


def bare_document(campaign: Campaign) -> str:
    """The frame of a campaign that has no template."""
    lang = campaign.organization.locale.split("-")[0] or "en"
    title = escape(campaign.subject).replace("{", "&#123;")
    return BARE.format(lang=lang, title=title)


def _composition(campaign: Campaign, before: str, inside: str, after: str, *, template_name: str) -> Composition:
    html = f"{before}{inside}{after}" if campaign.body.strip() else ""
    source = EmailSource(subject=campaign.subject, html=html, preheader=campaign.preheader)
    return Composition(source, len(before), inside, campaign.body, template_name)
