"""The same Liquid as authors write, made ready to run: outputs escape themselves, and missing values compare sensibly."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from io import StringIO
from typing import Final, cast

from liquid import BoundTemplate, RenderContext
from liquid.ast import Node
from liquid.builtin.expressions import FilteredExpression
from liquid.builtin.expressions.logical import EqExpression, NeExpression
from liquid.builtin.expressions.primitive import Blank, Empty, StringLiteral
from liquid.builtin.output import Output, OutputNode
from liquid.exceptions import OutputStreamLimitError
from liquid.expression import Expression
from liquid.output import LimitedStringIO
from liquid.stream import TokenStream
from liquid.token import Token
from liquid.undefined import is_undefined

from delivery.compiling.escaping import ESCAPES, to_text
from delivery.compiling.language import Language


class _EscapedNode(OutputNode):
    """An output that escapes for its position; as a filter that would cost twice as much."""

    __slots__ = ("escape",)

    def __init__(self, token: Token, expression: Expression, escape: Callable[[str], str]) -> None:
        super().__init__(token, expression)
        self.escape = escape

    def render_to_output(self, context: RenderContext, buffer: object) -> int:
        value = self.expression.evaluate(context)
        text = self.escape(value if value.__class__ is str else to_text(value))
        return buffer.write(text)  # type: ignore[attr-defined,no-any-return]  # the library's buffers are TextIO


class _EscapedOutput(Output):
    def parse(self, stream: TokenStream) -> OutputNode:
        node = super().parse(stream)
        expression = cast(FilteredExpression, node.expression)
        position = expression.filters.pop().name.removeprefix("_")  # type: ignore[union-attr]  # there is one always
        return _EscapedNode(node.token, expression, ESCAPES[position])


class _TextOrNothing(Expression):
    """An operand compared with a text or with blank: a missing value is an empty text there."""

    __slots__ = ("inner",)

    def __init__(self, inner: Expression) -> None:
        super().__init__(inner.token)
        self.inner = inner

    def evaluate(self, context: RenderContext) -> object:
        value = self.inner.evaluate(context)
        return "" if value is None or is_undefined(value) else value

    def children(self) -> list[Expression]:
        return [self.inner]


class Buffer(LimitedStringIO):
    """The library's limited buffer, counting characters, which is cheaper than encoding each piece."""

    def write(self, text: str) -> int:
        self.size += len(text)
        if self.size > self.limit:
            raise OutputStreamLimitError("output stream limit reached", token=None)
        return StringIO.write(self, text)


class RunningLanguage(Language):
    """Liquid ready to run; every output of its templates ends in the filter of a position (`_html`, …)."""

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        self.add_tag(_EscapedOutput)

    def parse_tokens(self, tokens: Iterable[Token]) -> BoundTemplate:
        template = super().parse_tokens(tokens)
        context = RenderContext(template)
        for node in template.nodes:
            _adjust_comparisons(node, context)
        return template


def _adjust_comparisons(node: Node, context: RenderContext) -> None:
    pending = list(node.expressions())
    while pending:
        expression = pending.pop()
        pending += expression.children()
        if isinstance(expression, (EqExpression, NeExpression)):
            if isinstance(expression.right, (StringLiteral, Blank, Empty)):
                expression.left = _TextOrNothing(expression.left)
            elif isinstance(expression.left, (StringLiteral, Blank, Empty)):
                expression.right = _TextOrNothing(expression.right)
    for child in node.children(context, include_partials=False):
        _adjust_comparisons(child, context)


INTERNAL: Final = RunningLanguage()
