"""Compile emails: Liquid, HTML and styles into constants and slots, once per email instead of once per person.

Plain Python, no Django. `compile_email` makes a payload, `Program` fills it in.
"""

from delivery.compiling.compiler import compile_email
from delivery.compiling.contract import (
    AttributeType,
    Compilation,
    CompileError,
    EmailSource,
    Finding,
    Footer,
    Link,
    Rendered,
    RenderError,
    Schema,
    Tokens,
)
from delivery.compiling.linking import SignRemainder, decode_remainder, encode_remainder, resolve_link
from delivery.compiling.markdown import markdown_to_html
from delivery.compiling.program import Program
from delivery.compiling.report import line_and_column
from delivery.compiling.sources import syntax_error_position

__all__ = [
    "AttributeType",
    "Compilation",
    "CompileError",
    "EmailSource",
    "Finding",
    "Footer",
    "Link",
    "Program",
    "RenderError",
    "Rendered",
    "Schema",
    "SignRemainder",
    "Tokens",
    "compile_email",
    "decode_remainder",
    "encode_remainder",
    "line_and_column",
    "markdown_to_html",
    "resolve_link",
    "syntax_error_position",
]
