"""The Liquid that authors may write: its tags, filters and limits, and how its expressions are read.

The library parses and evaluates. Tags that load other files or print HTML of their own don't exist here, and values
are dictionaries, lists, texts and numbers only, so that there is nothing to reach through them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple, cast

from liquid import BoundTemplate, Environment, RenderContext
from liquid.builtin.expressions import FilteredExpression
from liquid.builtin.expressions.path import Path
from liquid.builtin.expressions.primitive import StringLiteral
from liquid.builtin.filters.misc import date as library_date
from liquid.builtin.output import OutputNode
from liquid.exceptions import LiquidError, ResourceLimitError
from liquid.filter import with_environment
from liquid.parser import get_parser
from liquid.stream import TokenStream
from liquid.token import TOKEN_EXPRESSION, TOKEN_OUTPUT, TOKEN_TAG, Token
from liquid.undefined import UNDEFINED

from delivery.compiling.escaping import to_text

_TAGS_LEFT_OUT = ("include", "render", "liquid", "tablerow", "echo")
_FILTERS_LEFT_OUT = ("safe", "escapejs")

BLOCK_TAGS: Final = {
    "if": "endif",
    "unless": "endunless",
    "case": "endcase",
    "for": "endfor",
    "capture": "endcapture",
    "ifchanged": "endifchanged",
}
BRANCH_TAGS: Final = frozenset({"else", "elsif", "when"})
STATEFUL_TAGS: Final = frozenset({"assign", "capture", "increment", "decrement", "cycle", "ifchanged"})
"""Tags whose effect or output depends on what was rendered before them."""


class _Context(RenderContext):
    """A render context with a budget: a number of look-ups and a time."""

    __slots__ = ("deadline", "lookups")

    def __init__(self, template: BoundTemplate, **options: object) -> None:
        super().__init__(template, **options)  # type: ignore[arg-type]  # passed on as the library calls it
        self.lookups = 0
        self.deadline = time.monotonic() + 2.0

    def get(self, path: list[object], *, token: Token | None, default: object = UNDEFINED) -> object:
        self.lookups += 1
        if self.lookups > 200_000 or (not self.lookups % 256 and time.monotonic() > self.deadline):
            raise ResourceLimitError("the logic of this email takes too long", token=token)
        return super().get(path, token=token, default=default)


@with_environment
def _date(value: object, form: object, *, environment: Environment) -> str:
    """Format a date; what is none stays as it is, and somebody without one gets an empty text."""
    if value is None or value == "":
        return ""
    try:
        return str(library_date(value, form, environment=environment))
    except (LiquidError, ArithmeticError, ValueError, OSError):
        return to_text(value)


class _Template(BoundTemplate):
    context_class = _Context


class Language(Environment):
    """Liquid as authors may write it."""

    template_class = _Template
    block_nesting_limit = 20
    loop_iteration_limit = 20_000
    local_namespace_limit = 200_000
    output_stream_limit = 400_000

    def __init__(self) -> None:
        super().__init__()
        for tag in _TAGS_LEFT_OUT:
            del self.tags[tag]
        for name in _FILTERS_LEFT_OUT:
            del self.filters[name]
        # Everything is escaped for its position anyway; doing it twice would show "&lt;" to people.
        for name in ("escape", "escape_once"):
            self.add_filter(name, to_text)
        self.add_filter("date", _date)

    def parse_tokens(self, tokens: Iterable[Token]) -> BoundTemplate:
        """Parse a stream of tokens, each of which knows where in the author's source it was."""
        nodes = get_parser(self).parse(TokenStream(iter(tokens)))
        return self.template_class(self, nodes)


AUTHOR: Final = Language()
"""For checking what an author wrote."""


class Expression(NamedTuple):
    """An output's expression, ready to be compiled. path is None unless it is a plain variable.

    default: what stands in for a missing value, None when nothing was declared.
    """

    text: str
    raw: bool
    path: tuple[str, ...] | None
    default: str | None
    literal: str | None


@lru_cache(maxsize=4096)
def read_expression(text: str) -> Expression:
    """Understand an output. A trailing `| raw` is ours, not the library's: it is taken off and remembered."""
    raw = False
    bare = text.rstrip()
    if bare.endswith("raw") and bare[:-3].rstrip().endswith("|"):
        raw, text = True, bare[:-3].rstrip()[:-1].rstrip()
    template = AUTHOR.parse_tokens(output_tokens(text, text, 0))
    # Outputs hold nothing else: conditional expressions are not part of this language.
    expression = cast(FilteredExpression, cast(OutputNode, template.nodes[0]).expression)
    filters = [item for item in expression.filters or [] if item.name not in ("escape", "escape_once")]
    default: str | None = None
    if len(filters) == 1 and filters[0].name == "default" and len(filters[0].args) == 1:
        argument = filters[0].args[0].value
        if isinstance(argument, StringLiteral):
            default, filters = argument.value, []
    if filters:
        return Expression(text, raw, None, None, None)
    if isinstance(expression.left, StringLiteral):
        return Expression(text, raw, None, None, expression.left.value)
    if isinstance(expression.left, Path) and all(isinstance(part, str) for part in expression.left.path):
        return Expression(text, raw, tuple(str(part) for part in expression.left.path), default, None)
    return Expression(text, raw, None, None, None)


def output_tokens(expression: str, source: str, start: int) -> list[Token]:
    """Build the tokens of `{{ expression }}`."""
    return [Token(TOKEN_OUTPUT, "{{ }}", start, source), Token(TOKEN_EXPRESSION, expression, start, source)]


def tag_tokens(name: str, expression: str, source: str, start: int) -> list[Token]:
    """Build the tokens of `{% name expression %}`."""
    tokens = [Token(TOKEN_TAG, name, start, source)]
    if expression:
        tokens.append(Token(TOKEN_EXPRESSION, expression, start, source))
    return tokens


class Reference(NamedTuple):
    """A variable that a template reads. path holds the constant segments up to the first computed one."""

    path: tuple[str, ...]
    whole: bool
    start: int


def references(template: BoundTemplate) -> list[Reference]:
    """List the variables that come from outside the template. whole: a segment is computed, so anything may be read."""
    found = []
    for variables in template.analyze(include_partials=False).globals.values():
        for variable in variables:
            path: list[str] = []
            for segment in variable.segments:
                if not isinstance(segment, str):
                    break
                path.append(segment)
            found.append(Reference(tuple(path), len(path) < len(variable.segments), variable.span.index))
    return found


def filter_names(template: BoundTemplate) -> dict[str, int]:
    """Name to first position of each filter used."""
    return {name: spans[0].index for name, spans in template.analyze(include_partials=False).filters.items()}
