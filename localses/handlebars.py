"""The part of Handlebars that SES renders in an inline template: simple substitution, nothing escaped.

The lexer follows Handlebars' own (`handlebars.l`), quirks included, because a sender's compiler meets them:
`\\{{x}}` prints `{{x}}`, `\\\\{{x}}` prints a backslash and the value, `{{{x}}}` is one expression and so
neither `a{{{x}}` nor `{{x}}}` (a brace of CSS beside a variable) parses. Stored templates are rendered the same way;
blocks, partials and helpers are refused, although SES has them there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from localses.model import Json

# SES's own placeholders, which it replaces itself and which are no data.
OWN_PLACEHOLDERS = frozenset({"amazonSESUnsubscribeUrl", "ses:openTracker"})
_ID = r"[^\s!\"#%-,./;->@\[-^`{-~]+|\[(?:\\\]|[^\]])*\]"
_PATH = re.compile(rf"(?:this[./]|\./)?((?:{_ID})(?:[./](?:{_ID}))*)")
_OPEN = re.compile(r"\{\{(?P<strip>~?)(?P<kind>\{|!--|!|&|#|/|\^|>|\s*else\b)?")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_STRING = re.compile(r'"(?:\\"|[^"])*"|\'(?:\\\'|[^\'])*\'')


class TemplateSyntaxError(ValueError):
    """The template is not one that SES could parse."""


class MissingAttributeError(KeyError):
    """A variable of the template has no value; `name` is how the template spells it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, slots=True)
class Variable:
    """A place where a value lands."""

    name: str
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template: constant text and variables in order."""

    parts: tuple[str | Variable, ...]
    variables: tuple[Variable, ...]

    def render(self, data: Json) -> str:
        """Put the values in, unescaped. Raises MissingAttributeError for the first one that isn't there."""
        return "".join(part if isinstance(part, str) else as_text(_look_up(part, data)) for part in self.parts)

    def missing(self, data: Json) -> str | None:
        """Return the name of the first variable without a value, or None."""
        for variable in self.variables:
            if len(variable.path) == 1:
                if variable.path[0] not in data:
                    return variable.name
                continue
            try:
                _look_up(variable, data)
            except MissingAttributeError:
                return variable.name
        return None


def _look_up(variable: Variable, data: Json) -> object:
    value: object = data
    for step in variable.path:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            raise MissingAttributeError(variable.name)
    return value


def as_text(value: object) -> str:
    """Write a JSON value as JavaScript writes it into a string."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    if isinstance(value, list):
        return ",".join(as_text(item) for item in value)
    if isinstance(value, dict):
        return "[object Object]"
    return str(value)


@lru_cache(maxsize=256)
def parse(source: str) -> Template:
    """Parse a template once. Raises TemplateSyntaxError with the line, as Handlebars does."""
    parts: list[str | Variable] = []
    position = 0
    strip_next = False
    while position < len(source):
        text, start, verbatim = _text_until_mustache(source, position)
        parts.append(text.lstrip() if strip_next else text)
        strip_next = False
        if start is None:
            break
        if verbatim:
            position = _copy_verbatim(source, start, parts)
            continue
        strip_before, piece, strip_next, position = _mustache(source, start)
        if strip_before and isinstance(parts[-1], str):
            parts[-1] = parts[-1].rstrip()
        if piece is not None:
            parts.append(piece)
    kept = tuple(part for part in parts if part != "")
    return Template(parts=kept, variables=tuple(part for part in kept if isinstance(part, Variable)))


def _text_until_mustache(source: str, position: int) -> tuple[str, int | None, bool]:
    """Return the text before the next `{{`, where that is, and whether a backslash turns it into text."""
    start = source.find("{{", position)
    if start < 0:
        return source[position:], None, False
    text = source[position:start]
    if text.endswith("\\\\"):
        return text[:-1], start, False
    if text.endswith("\\"):
        return text[:-1], start, True
    return text, start, False


def _copy_verbatim(source: str, start: int, parts: list[str | Variable]) -> int:
    """Copy an escaped mustache up to the next one, which the lexer's `emu` state does."""
    end = source.find("{{", start + 2)
    if end < 0:
        end = len(source)
    else:
        for _ in range(2):  # an escape before that mustache, one backslash or two, belongs to it
            if end - 1 >= start + 2 and source[end - 1] == "\\":
                end -= 1
    parts.append(source[start:end])
    return end


def _mustache(source: str, start: int) -> tuple[bool, str | Variable | None, bool, int]:
    if source.startswith("{{{{", start):
        raise _error(source, start, "raw blocks are not supported")
    opened = _OPEN.match(source, start)
    if opened is None:  # cannot happen: the caller stands on "{{"
        raise _error(source, start, "expected '{{'")
    kind = (opened["kind"] or "").strip()
    strip_before = opened["strip"] == "~"
    if kind.startswith("!"):
        return _comment(source, start, kind, strip_before=strip_before)
    if kind in {"#", "/", "^", ">", "else"}:
        raise _error(source, start, f"'{{{{{kind}' is not supported: only simple substitutions are")
    close = "}}}" if kind == "{" else "}}"
    piece, after = _expression(source, opened.end())
    after = _skip_spaces(source, after)
    strip_after = False
    if kind == "{":
        # Four braces are the close of a raw block to Handlebars, so `{{{s0}}}}` does not parse either.
        ended = source.startswith(close, after) and not source.startswith("}}}}", after)
        strip_after = source.startswith("}~}}", after)
        if not ended and not strip_after:
            raise _error(source, start, "expected '}}}'")
        return strip_before, piece, strip_after, after + (4 if strip_after else 3)
    if source.startswith("~", after):
        strip_after, after = True, after + 1
    # Handlebars takes "}}}" as the close of "{{{" even here, so `a{color:{{brand}}}` does not parse.
    if not source.startswith(close, after) or (source.startswith("}}}", after) and not strip_after):
        raise _error(source, start, "expected '}}'")
    return strip_before, piece, strip_after, after + 2


def _comment(source: str, start: int, kind: str, *, strip_before: bool) -> tuple[bool, None, bool, int]:
    close = re.compile(r"--(?P<strip>~?)\}\}" if kind == "!--" else r"(?P<strip>~?)\}\}")
    ended = close.search(source, start + 3)
    if ended is None:
        raise _error(source, start, "a comment without an end")
    return strip_before, None, ended["strip"] == "~", ended.end()


def _expression(source: str, position: int) -> tuple[str | Variable, int]:
    position = _skip_spaces(source, position)
    for pattern, read in _READERS:
        match = pattern.match(source, position)
        if match is not None:
            return read(match[0]), match.end()
    raise _error(source, position, "expected a variable")


def _variable(text: str) -> str | Variable:
    if text in OWN_PLACEHOLDERS:
        return "{{" + text + "}}"
    bare = re.sub(r"^(?:this[./]|\./)", "", text)
    steps = re.findall(_ID, bare)
    return Variable(text, tuple(step[1:-1] if step.startswith("[") else step for step in steps))


_READERS: tuple[tuple[re.Pattern[str], Callable[[str], str | Variable]], ...] = (
    (_STRING, lambda text: Variable(text[1:-1], (text[1:-1],))),
    (re.compile(_NUMBER.pattern + r"(?=[\s}~])"), lambda text: Variable(text, (text,))),
    (_PATH, _variable),
)


def _skip_spaces(source: str, position: int) -> int:
    while position < len(source) and source[position].isspace():
        position += 1
    return position


def _error(source: str, position: int, reason: str) -> TemplateSyntaxError:
    line = source.count("\n", 0, position) + 1
    excerpt = source[position : position + 30].split("\n")[0]
    return TemplateSyntaxError(f"Parse error on line {line}: {reason} at '{excerpt}'")
