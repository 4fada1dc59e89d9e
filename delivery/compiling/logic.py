"""Run the parts of an email that need Liquid for one person, remembering what came out.

Most people share the few values that a loop or a condition reads, so an output is remembered under the values that
were read: rendering again costs some 40 µs, remembering less than one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from liquid.exceptions import LiquidError, LiquidInterrupt
from liquid.output import LimitedStringIO
from liquid.undefined import Undefined

from delivery.compiling.contract import RenderError
from delivery.compiling.escaping import MANAGE, TRACK
from delivery.compiling.language import INTERNAL, Language, references
from delivery.compiling.parts import Item, to_tokens
from delivery.compiling.variables import FIELDS, URLS, WHOLE, Person, Source, attributes_of, full_name, source_of

_MEMO_ENTRIES = 4_096
_MEMO_CHARACTERS = 2_000_000
_MARKS = re.compile(rf"[{TRACK}{MANAGE}]|\b(?:{'|'.join(URLS)})\b")
_CLOCK = re.compile(r"\b(?:now|today)\b")


class Missing(Undefined):
    """A value that isn't there: false, blank, nil and equal to "", so that every way of asking finds it missing."""

    __slots__ = ()
    __hash__ = Undefined.__hash__

    def __eq__(self, other: object) -> bool:
        return other is None or other == "" or isinstance(other, Undefined)


Language.undefined = Missing


class Unit:
    """Blocks that are rendered together in the document's order, because later ones may depend on earlier ones."""

    def __init__(self, groups: Sequence[Sequence[Item]], shared: Mapping[str, object]) -> None:
        self._shared = shared
        self._templates = [INTERNAL.parse_tokens(to_tokens(group)) for group in groups]
        self.table: dict[tuple[object, ...], tuple[str, ...]] = {}
        self._characters = 0
        self.sources = _sources(groups)
        # What a block shows of the clock must not be remembered.
        self.marked = _is_marked(groups)
        self.memorable = not any(_CLOCK.search(_expressions(group)) for group in groups)

    def run(self, key: tuple[object, ...], person: Person) -> tuple[str, ...]:
        """Render every block for a person and remember the outputs under the key. Raises RenderError."""
        outputs = self.render(person)
        if self.memorable:
            size = sum(map(len, outputs))
            if len(self.table) >= _MEMO_ENTRIES or self._characters + size > _MEMO_CHARACTERS:
                self.table.clear()
                self._characters = 0
            self.table[key] = outputs
            self._characters += size
        return outputs

    def render(self, person: Person) -> tuple[str, ...]:
        """Render every block for a person."""
        first = self._templates[0]
        context = first.context_class(first, globals={**self._shared, **namespace(person)})
        outputs = []
        try:
            for template in self._templates:
                buffer = LimitedStringIO(INTERNAL.output_stream_limit or 0)
                for node in template.nodes:
                    node.render(context, buffer)
                outputs.append(buffer.getvalue())
        except LiquidError as error:
            raise RenderError(str(error.message)) from error
        except (LiquidInterrupt, ArithmeticError, TypeError, ValueError, RecursionError) as error:
            raise RenderError(str(error) or type(error).__name__) from error
        return tuple(outputs)


def namespace(person: Person) -> dict[str, object]:
    """Lay out a person's values under the names that authors use."""
    attributes = {name: present(name, value) for name, value in attributes_of(person).items()}
    fields = {name: present(name, person.get(name)) for name in FIELDS}
    fields["name"] = present("name", full_name(person))
    return {**attributes, **fields, "attributes": attributes, "subscriber": {**fields, "attributes": attributes}}


def present(name: str, value: object) -> object:
    """Return the value, or `Missing` when there is none."""
    return Missing(name) if value is None or value == "" else value


def _sources(groups: Sequence[Sequence[Item]]) -> tuple[Source, ...]:
    template = INTERNAL.parse_tokens(token for group in groups for token in to_tokens(group))
    found: dict[Source, None] = {}
    for reference in references(template):
        source = source_of(reference.path)
        if reference.whole and len(reference.path) <= 1 and source is not None and source[0] != "field":
            source = WHOLE
        if source is not None:
            found[source] = None
    return tuple(found)


def _is_marked(groups: Sequence[Sequence[Item]]) -> bool:
    """Tell whether the outputs may hold marks that stand for tokens."""
    return any(item[0] == "l" or _MARKS.search(" ".join(item[1:])) for group in groups for item in group)


def _expressions(items: Sequence[Item]) -> str:
    return " ".join(
        item[2] if item[0] == "t" else item[1] if item[0] == "o" else _expressions(item[2])
        for item in items
        if item[0] != "c"
    )
