"""What Handlebars makes of a template with simple substitutions, quirks included.

The compiler checks its templates against this before anybody is mailed; the tests check it against handlebars.js.
After the lexer of https://github.com/handlebars-lang/handlebars-parser (src/handlebars.l): text runs up to `{{`; one
backslash before that makes it text up to the next `{{`, two stand for one backslash before a real tag.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_TAG = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}(?!\})")
_ESCAPED_END = re.compile(r"\\{0,2}\{\{")


class HandlebarsError(Exception):
    """Handlebars would refuse this template or read more than substitutions into it."""


def substitute(template: str, values: Mapping[str, str]) -> str:
    """Substitute as Handlebars does without escaping. Raises HandlebarsError for anything but `{{name}}`."""
    output: list[str] = []
    position = 0
    while True:
        opening = template.find("{{", position)
        if opening < 0:
            output.append(template[position:])
            return "".join(output)
        text = template[position:opening]
        if text.endswith("\\\\"):
            text = text[:-1]
        elif text.endswith("\\"):
            stop = _ESCAPED_END.search(template, opening + 2)
            position = stop.start() if stop else len(template)
            output += [text[:-1], template[opening:position]]
            continue
        output.append(text)
        tag = _TAG.match(template, opening)
        if tag is None:
            raise HandlebarsError(f"not a simple substitution: {template[opening : opening + 40]!r}")
        if tag.group(1) not in values:
            raise HandlebarsError(f"no value for {tag.group(1)!r}")
        output.append(values[tag.group(1)])
        position = tag.end()
