"""The email itself, as one subscriber gets it: its own document under its own policy."""

from __future__ import annotations

import re
from html import escape
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.clickjacking import xframe_options_sameorigin

from campaigns.admin.editing import access_campaign
from campaigns.models import Campaign, TemplateVersion
from campaigns.selectors.audience import preview_people
from campaigns.services.reviewing import check_content
from delivery.compiling import Program, RenderError
from delivery.services.compiling import PREVIEW_TOKENS, SAMPLE_PERSON, person_of
from delivery.tokens import sign_remainder
from organizations.access import access
from organizations.admin.pages import admin_page
from organizations.models import Organization
from organizations.requests import organization_of
from subscribers.models import Subscriber

# Scripts, forms and the admin's session stay out of reach: the frame has an opaque origin and may only show.
POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data: https: http:; "
    "font-src https: data:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
DARK = re.compile(r"\(\s*prefers-color-scheme\s*:\s*dark\s*\)", re.IGNORECASE)
LIGHT = re.compile(r"\(\s*prefers-color-scheme\s*:\s*light\s*\)", re.IGNORECASE)
PIXEL_ADDRESS = "{url}/o/" + PREVIEW_TOKENS.track + ".gif"
BLANK_PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="
ALWAYS, NEVER = "(min-width: 0px)", "(max-width: 0px)"
MESSAGE = (
    '<!doctype html><meta charset="utf-8"><body style="margin:0;padding:32px;font:16px/1.5 system-ui,sans-serif;'
    'color:{color};background:{paper}"><p>{said}</p>'
)


def preview_context(request: HttpRequest, campaign: Campaign) -> dict[str, Any]:
    """Whom the preview is for, whom else there is, and the inbox line."""
    organization = campaign.organization
    looked_for = request.GET.get("who", "").strip()
    found = preview_people(organization, address=looked_for) if looked_for else preview_people(organization)
    chosen = preview_subscriber(organization, request.GET.get("as"))
    if chosen is None and looked_for and found:
        chosen = found[0]
    return {
        "preview_people": found,
        "preview_as": chosen,
        "preview_who": looked_for,
        "preview_missing": bool(looked_for and not found),
    }


def preview_subscriber(organization: Organization, pk: object) -> Subscriber | None:
    """The subscriber whose data a preview or test shows; None for the sample person. Raises NotFound."""
    return access(Subscriber.objects.all(), organization=organization, pk=pk) if pk else None


@admin_page("campaigns/<int:pk>/email/", name="campaign_email", permission="campaign:view")
@xframe_options_sameorigin
def email(request: HttpRequest, pk: int) -> HttpResponse:
    """The email as saved. `as`: a subscriber; `theme`: light or dark; `part=text`: the text part."""
    campaign = access_campaign(request, pk)
    subscriber = preview_subscriber(organization_of(request), request.GET.get("as"))
    theme = request.GET.get("theme", "")
    response = HttpResponse(render_preview(campaign, subscriber, theme=theme, part=request.GET.get("part", "html")))
    response["Content-Security-Policy"] = POLICY
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    return response


def render_preview(
    campaign: Campaign,
    subscriber: Subscriber | None,
    *,
    theme: str = "",
    part: str = "html",
    version: TemplateVersion | None = None,
) -> str:
    """Render the saved campaign. Without a theme it is byte for byte what is sent, but for the tokens and the pixel."""
    check = check_content(campaign, version=version)
    if check.compilation is None:
        return _said(check.findings[0].message if check.findings else "", theme)
    person = person_of(subscriber) if subscriber else SAMPLE_PERSON
    program = Program.load(check.compilation.payload, sign_remainder=sign_remainder)
    try:
        rendered = program.render(person, PREVIEW_TOKENS)
    except RenderError as error:
        return _said(str(error), theme)
    if part == "text":
        return _said("", theme).replace("<p></p>", f'<pre style="white-space:pre-wrap">{escape(rendered.text)}</pre>')
    # Looking at a preview is no opening: the pixel would ask the public site for nothing.
    return themed(rendered.html.replace(PIXEL_ADDRESS.format(url=escape(settings.PUBLIC_URL)), BLANK_PIXEL), theme)


def themed(html: str, theme: str) -> str:
    """Show the dark styles of an email to somebody whose own screen is light, and the other way round."""
    if theme == "dark":
        return LIGHT.sub(NEVER, DARK.sub(ALWAYS, html))
    if theme == "light":
        return LIGHT.sub(ALWAYS, DARK.sub(NEVER, html))
    return html


def _said(text: str, theme: str) -> str:
    color, paper = ("#ddd", "#1c1b19") if theme == "dark" else ("#333", "#fff")
    return MESSAGE.format(said=escape(text), color=color, paper=paper)
