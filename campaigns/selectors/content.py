"""From what the author wrote to the whole document that is compiled: Markdown converted, the template around it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

from campaigns.models import Campaign, ContentFormat, TemplateVersion
from delivery.compiling import EmailSource, Finding, markdown_to_html

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


@dataclass(frozen=True, slots=True)
class Composition:
    """A document and where the author's part stands in it.

    first_line: the line of the document on which the author's first line is; lines: how many there are; 0 where
    lines of the document say nothing about what was written (Markdown).
    """

    source: EmailSource
    first_line: int
    lines: int
    template_name: str

    def author_line(self, finding: Finding) -> int:
        """The line in the author's own text, 0 when it is elsewhere or unknown."""
        if finding.part != "html" or not finding.line:
            return finding.line if finding.part != "html" else 0
        line = finding.line - self.first_line + 1
        return line if 1 <= line <= self.lines else 0

    def template_line(self, finding: Finding) -> int:
        """The line in the template, 0 when the place is not in the template."""
        if not self.template_name or finding.part != "html" or not finding.line or not self.lines:
            return 0
        if finding.line < self.first_line:
            return finding.line
        return finding.line - self.lines + 1 if finding.line >= self.first_line + self.lines else 0


def newest_version(campaign: Campaign) -> TemplateVersion | None:
    """The version of the campaign's template that is used today."""
    if campaign.template_id is None:
        return None
    return TemplateVersion.objects.filter(template_id=campaign.template_id).order_by("-number").first()


def compose_email(campaign: Campaign, *, version: TemplateVersion | None = None) -> Composition:
    """Put the content of a campaign into the newest version of its template, or into a bare document.

    A body that is a whole document stays as it is: a template around it would nest one document in another.
    """
    body = campaign.body
    is_markdown = campaign.format == ContentFormat.MARKDOWN
    if is_markdown and body.strip():
        body = SECTION.format(html=markdown_to_html(body))
    version = version or newest_version(campaign)
    if not is_markdown and WHOLE_DOCUMENT.search(body[:2000]):
        return _composition(campaign, body, 1, body.count("\n") + 1, "")
    frame = version.html if version else bare_document(campaign)
    found = REGION.search(frame)
    before, after = (frame[: found.start()], frame[found.end() :]) if found else (frame, "")
    first_line = before.count("\n") + 1
    lines = 0 if is_markdown else body.count("\n") + 1
    html = f"{before}{body}{after}" if body.strip() else ""
    return _composition(campaign, html, first_line, lines, version.template.name if version else "")


def bare_document(campaign: Campaign) -> str:
    """The frame of a campaign that has no template."""
    lang = campaign.organization.locale.split("-")[0] or "en"
    title = escape(campaign.subject).replace("{", "&#123;")
    return BARE.format(lang=lang, title=title)


def _composition(campaign: Campaign, html: str, first_line: int, lines: int, template_name: str) -> Composition:
    source = EmailSource(subject=campaign.subject, html=html, preheader=campaign.preheader)
    return Composition(source, first_line, lines, template_name)
