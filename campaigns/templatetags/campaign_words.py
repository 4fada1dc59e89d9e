"""Showing what an author wrote to somebody who does not read Liquid."""

from __future__ import annotations

import re

from django import template

register = template.Library()

OUTPUT = re.compile(r"\{\{-?(.*?)-?\}\}", re.DOTALL)
TAG = re.compile(r"\{%.*?%\}", re.DOTALL)
DEFAULT = re.compile(r"""\|\s*default\s*:\s*(?:"([^"]*)"|'([^']*)')""")


@register.filter
def readable(text: str) -> str:
    """“{{ first_name | default: "Dear reader" }}, hello” → “Dear reader, hello”; without a fallback, the name in ‹›."""

    def said(found: re.Match[str]) -> str:
        expression = found.group(1)
        fallback = DEFAULT.search(expression)
        if fallback:
            return fallback.group(1) or fallback.group(2) or ""
        return f"‹{expression.split('|')[0].strip()}›"

    return OUTPUT.sub(said, TAG.sub("", text))
