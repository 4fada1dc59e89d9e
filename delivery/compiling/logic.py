"""Run the parts of an email that need Liquid for one person, remembering what came out.

Most people share the few values that a loop or a condition reads, so an output is remembered under the values that
were read: rendering again costs some 40 µs, remembering less than one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from liquid import BoundTemplate
from liquid.exceptions import LiquidError, LiquidInterrupt

from delivery.compiling.contract import RenderError
from delivery.compiling.escaping import MANAGE, TRACK
from delivery.compiling.evaluation import INTERNAL, Buffer
from delivery.compiling.language import references
from delivery.compiling.parts import Item, to_tokens
from delivery.compiling.variables import FIELDS, URLS, WHOLE, Person, Source, attributes_of, full_name, source_of

_MEMO_ENTRIES = 2_048
_MEMO_CHARACTERS = 400_000
_MARKS = re.compile(rf"[{TRACK}{MANAGE}]|\b(?:{'|'.join(URLS)})\b")
_CLOCK = re.compile(r"\b(?:now|today)\b")


class Unit:
    """Blocks that are rendered together: they read the same values, or later ones may depend on earlier ones."""

    def __init__(self, sources: tuple[Source, ...], shared: Mapping[str, object], known: Sequence[str]) -> None:
        self.sources = sources
        self.table: dict[tuple[object, ...], tuple[str, ...]] = {}
        self.marked: list[bool] = []  # per output: whether marks that stand for tokens may be in it
        self.memorable = True
        self._reads_all = WHOLE in sources
        self._shared = shared
        self._known = known
        self._templates: list[BoundTemplate] = []
        self._characters = 0

    def add(self, group: Sequence[Item], *, ordered: bool) -> int:
        """Add a block and return the number of its output. ordered: it may print what a block before it was given."""
        self._templates.append(INTERNAL.parse_tokens(to_tokens(group)))
        self.marked.append(ordered or _is_marked(group))
        # What a block shows of the clock must not be remembered.
        self.memorable = self.memorable and not _CLOCK.search(_expressions(group))
        return len(self._templates) - 1

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
        context = first.context_class(first, globals=self._namespace(person))
        outputs = []
        try:
            for template in self._templates:
                buffer = Buffer(INTERNAL.output_stream_limit or 0)
                for node in template.nodes:
                    node.render(context, buffer)
                outputs.append(buffer.getvalue())
        except LiquidError as error:
            raise RenderError(str(error.message)) from error
        except (LiquidInterrupt, ArithmeticError, TypeError, ValueError, RecursionError) as error:
            raise RenderError(str(error) or type(error).__name__) from error
        return tuple(outputs)

    def _namespace(self, person: Person) -> dict[str, object]:
        """Lay out what these blocks read of a person under the names that authors use."""
        held = attributes_of(person)
        attributes: dict[str, object] = {}
        fields: dict[str, object] = {}
        if self._reads_all:
            attributes = dict.fromkeys(self._known)
            attributes |= {name: present(value) for name, value in held.items()}
            fields = {name: present(person.get(name)) for name in FIELDS}
            fields["name"] = present(full_name(person))
        else:
            for kind, name in self.sources:
                if kind == "attribute":
                    attributes[name] = present(held.get(name))
                else:
                    fields[name] = present(full_name(person) if name == "name" else person.get(name))
        values = {**attributes, **fields, "attributes": attributes}
        return {**values, **self._shared, "subscriber": values}


def present(value: object) -> object:
    """Return the value, nil for an empty text: people ask `{% if first_name %}` and mean "is there one"."""
    return None if value == "" else value


def sources_of(groups: Sequence[Sequence[Item]]) -> tuple[Source, ...]:
    """List the values that blocks read."""
    template = INTERNAL.parse_tokens(token for group in groups for token in to_tokens(group))
    found: dict[Source, None] = {}
    for reference in references(template):
        source = source_of(reference.path)
        if reference.whole and reference.path in (("attributes",), ("subscriber",), ("subscriber", "attributes")):
            source = WHOLE
        if source is not None:
            found[source] = None
    return tuple(sorted(found))


def _is_marked(group: Sequence[Item]) -> bool:
    return any(item[0] == "l" or _MARKS.search(" ".join(item[1:])) for item in group)


def _expressions(items: Sequence[Item]) -> str:
    return " ".join(
        item[2] if item[0] == "t" else item[1] if item[0] == "o" else _expressions(item[2])
        for item in items
        if item[0] != "c"
    )
