"""Write the function that makes one person's slot values.

One function per email, generated, because this is where a campaign spends its time: a generic loop over slots costs
about three times as much. The source consists only of names that this module numbers itself; every text from outside
(attribute names, constants, defaults) is bound as an object and never becomes code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from delivery.compiling.contract import Tokens
from delivery.compiling.escaping import ESCAPES, HTML_SPECIAL, LINK_OPEN, MANAGE, TRACK, to_text
from delivery.compiling.linking import SignRemainder, finish_links, tracked_remainder
from delivery.compiling.logic import Unit
from delivery.compiling.slots import Slot
from delivery.compiling.variables import Person, Source, full_name

Values = Callable[[Person, Tokens], dict[str, str]]

# Letters and digits need no escaping, and isalnum() costs a quarter of looking for what does.
_SHORTCUTS = {"subject": "{0}.isalnum()", "urlpart": "{0}.isalnum() and {0}.isascii()"}


class Generator:
    """Collects statements and the objects they refer to."""

    def __init__(self, units: Sequence[Unit], sign: SignRemainder) -> None:
        self._units = units
        self._sign = sign
        self._bound: dict[str, object] = {
            "text": str,
            "empty": {},
            "full_name": full_name,
            "special": HTML_SPECIAL.search,
        }
        self._lines: list[str] = []
        self._names: dict[object, str] = {}

    def build(self, slots: Mapping[Slot, str]) -> Values:
        """Generate the function for these slots; the mapping gives each its name."""
        entries = [f"{name!r}: {self._slot(slot)}" for slot, name in slots.items()]
        source = "\n    ".join(
            [
                "def values(person, tokens):",
                "track, manage = tokens",
                "attribute = (person.get('attributes') or empty).get",
                "field = person.get",
                *self._lines,
                f"return {{{', '.join(entries)}}}",
            ]
        )
        # The source is made above from our own words and numbered names alone.
        exec(compile(source, "<values>", "exec"), self._bound)  # noqa: S102
        return cast(Values, self._bound["values"])

    def _bind(self, value: object) -> str:
        name = f"b{len(self._bound)}"
        self._bound[name] = value
        return name

    def _once(self, key: object, statement: Callable[[str], str]) -> str:
        if key not in self._names:
            name = self._names[key] = f"v{len(self._names)}"
            self._lines.append(statement(name))
        return self._names[key]

    def _slot(self, slot: Slot) -> str:
        kind, *details = slot.key
        if kind == "literal":
            return self._bind(slot.before + slot.after)
        if kind == "token":
            value = "track" if details[0] == TRACK else "manage"
        elif kind == "value":
            value = self._value(*details)  # type: ignore[arg-type]  # a key's members follow from its kind
        elif kind == "link":
            value = self._link(*details)  # type: ignore[arg-type]
        else:
            value = self._logic(*details)  # type: ignore[arg-type]
        before = f"{self._bind(slot.before)} + " if slot.before else ""
        after = f" + {self._bind(slot.after)}" if slot.after else ""
        return f"{before}{value}{after}"

    def _source(self, source: Source) -> str:
        kind, name = source
        if kind == "whole":
            return "(person.get('attributes') or empty)"
        if source == ("field", "name"):
            return self._once(source, lambda variable: f"{variable} = full_name(person)")
        return self._once(source, lambda variable: f"{variable} = {kind}({self._bind(name)})")

    def _value(self, source: Source, position: str, default: str | None) -> str:
        read = self._source(source)
        escape = self._bind(_escape_with(position, default))
        if position in ("html", "plain"):
            test = self._once(
                ("safe", source),
                lambda variable: (
                    f"{variable} = {read}.__class__ is text and ({read}.isalnum() or {read} != '' and not special({read}))"
                ),
            )
        elif position in _SHORTCUTS:
            test = f"{read}.__class__ is text and {_SHORTCUTS[position].format(read)}"
        else:
            return self._once((source, position, default), lambda variable: f"{variable} = {escape}({read})")
        return self._once(
            (source, position, default), lambda variable: f"{variable} = {read} if {test} else {escape}({read})"
        )

    def _link(self, number: int, pieces: Sequence[str | Slot]) -> str:
        remainder = " + ".join(self._bind(piece) if isinstance(piece, str) else self._slot(piece) for piece in pieces)
        build = self._bind(tracked_remainder(self._sign))
        return self._once(
            ("link", number, *pieces), lambda variable: f"{variable} = {build}(track, {number}, {remainder})"
        )

    def _logic(self, unit: int, output: int) -> str:
        outputs = self._once(("unit", unit), lambda variable: self._unit(unit, variable))
        if not self._units[unit].marked[output]:
            return f"{outputs}[{output}]"
        finish = self._bind(_finish(self._sign))
        return self._once(
            ("output", unit, output),
            lambda variable: f"{variable} = {finish}({outputs}[{output}], track, manage)",
        )

    def _unit(self, number: int, variable: str) -> str:
        unit = self._units[number]
        reads = [self._source(source) for source in unit.sources]
        # A text stands for itself; 1, True and 1.0 are equal but print differently, so others are told apart by repr.
        members = "".join(f"{read} if {read}.__class__ is text else (repr({read}),), " for read in reads)
        run = self._bind(unit.run)
        if not unit.memorable:
            return f"{variable} = {run}((), person)"
        table = self._bind(unit.table)
        return (
            f"{variable}_key = ({members})\n    {variable} = {table}.get({variable}_key)\n"
            f"    if {variable} is None: {variable} = {run}({variable}_key, person)"
        )


def _escape_with(position: str, default: str | None) -> Callable[[object], str]:
    escape = ESCAPES[position]
    if default is None:

        def write(value: object) -> str:
            # Digits need no escaping anywhere.
            return str(value) if value.__class__ is int else escape(to_text(value))

        return write
    fallback = escape(default)

    def apply(value: object) -> str:
        if value is None or value == "" or value is False or value == []:
            return fallback
        return escape(to_text(value))

    return apply


def _finish(sign: SignRemainder) -> Callable[[str, str, str], str]:
    def finish(output: str, track: str, manage: str) -> str:
        if LINK_OPEN in output:
            output = finish_links(output, track, sign)
        return output.replace(TRACK, track).replace(MANAGE, manage)

    return finish
