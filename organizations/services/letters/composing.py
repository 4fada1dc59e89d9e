"""One base for every letter of the product itself: headline, paragraphs, at most one button, small print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import css_inline
from django.conf import settings
from django.template.loader import render_to_string
from django.utils.translation import get_language

MOST_OF_SUBJECT: Final = 300
_INLINER: Final = css_inline.CSSInliner(load_remote_stylesheets=False, keep_style_tags=True, keep_at_rules=True)


@dataclass(frozen=True)
class Letter:
    """A subject of one line, and the same said in text and HTML."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True)
class Button:
    """The one thing to do. url: absolute."""

    label: str
    url: str


def compose(
    *, subject: str, headline: str, paragraphs: Sequence[str], button: Button | None = None, small: Sequence[str] = ()
) -> Letter:
    """Write both parts in the active language. All parameters are plain text, escaped where they land in HTML."""
    context = {
        "language": get_language() or settings.LANGUAGE_CODE,
        "subject": subject,
        "headline": headline,
        "paragraphs": paragraphs,
        "button": button,
        "small": small,
        "installation": settings.PUBLIC_URL,
    }
    return Letter(
        subject=" ".join(subject.split())[:MOST_OF_SUBJECT],  # a line break would begin another header
        text=render_to_string("letters/letter.txt", context),
        html=_INLINER.inline(render_to_string("letters/letter.html", context)),
    )


def absolute(path: str) -> str:
    """A page's address for a letter: never from the request, whose Host anybody may write."""
    return settings.PUBLIC_URL + path
