"""The email in a browser: rendered again with today's data, or for nobody in particular when the person is gone."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.utils.html import escape
from django.utils.translation import gettext as _
from django.utils.translation import override

from amazonsender.core.languages import first_spoken
from delivery.compiling import Tokens
from delivery.compiling.contract import RenderError
from delivery.models import CompiledEmail, Mailout, MailoutKind
from delivery.selectors.readers import MessageRef, compiled_email_id, find_message
from delivery.services.compiling import SAMPLE_PERSON, person_of, program_of
from delivery.tokens import TrackToken, manage_token, track_token
from subscribers.models import Subscriber

_BODY = re.compile(r"<body[^>]*>", re.IGNORECASE)
_NOTE_STYLE = (
    # An email's own rules for dark screens are marked important, too, and would leave light letters on light paper.
    "margin:0;padding:10px 16px;background:#f3f0ea!important;color:#4a4540!important;"
    "font:13px/1.5 -apple-system,'Segoe UI',Roboto,Arial,sans-serif;text-align:center"
)
# An erased reader: every field is there and empty.
NOBODY: dict[str, object] = {
    "email": "",
    "first_name": "",
    "last_name": "",
    "locale": "",
    "time_zone": "",
    "attributes": {},
    "tags": [],
}
# Leads nowhere: whoever is gone has no preferences.
NOWHERE = "none"


@dataclass(frozen=True, slots=True)
class WebView:
    html: str
    locale: str


def render_web_view(token: TrackToken) -> WebView | None:
    """Render a message for its reader; None when its email is gone or can't be rendered any more."""
    message = find_message(token)
    compiled_id = compiled_email_id(token, message)
    mailout = Mailout.objects.select_related("organization").filter(pk=token.mailout_id).first()
    if compiled_id is None or mailout is None:
        return None
    subscriber, person = _person(mailout, message)
    track = track_token(token.mailout_id, token.n)
    manage = manage_token(subscriber.pk, message.list_id) if subscriber and message else NOWHERE
    program = program_of(CompiledEmail(pk=compiled_id))
    try:
        html = program.render(person, Tokens(track, manage)).html
    except RenderError:
        html = program.render(NOBODY, Tokens(track, manage)).html
    locale = (subscriber.locale if subscriber else "") or mailout.organization.locale
    with override(first_spoken(locale, mailout.organization.locale) or None):
        note = _("This is the email as it would look today. What you got may have had other details.")
    return WebView(_with_note(html, note), locale)


def _person(mailout: Mailout, message: MessageRef | None) -> tuple[Subscriber | None, dict[str, object]]:
    """Whose data is shown, and whose preferences are linked: nobody's where a test send shows somebody else."""
    people = Subscriber.objects.for_organization(mailout.organization)
    if mailout.kind == MailoutKind.TEST:
        shown = people.filter(pk=mailout.preview_subscriber_id or 0).first()
        return None, person_of(shown) if shown else SAMPLE_PERSON
    subscriber = people.filter(pk=message.subscriber_id).first() if message else None
    return subscriber, person_of(subscriber) if subscriber else NOBODY


def _with_note(html: str, note: str) -> str:
    banner = f'<div style="{_NOTE_STYLE}">{escape(note)}</div>'
    found = _BODY.search(html)
    return html[: found.end()] + banner + html[found.end() :] if found else banner + html
