"""A compiled email, ready to be filled in for one person after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Self, cast

from delivery.compiling.codegen import Generator, Values
from delivery.compiling.contract import Rendered, Tokens
from delivery.compiling.escaping import ESCAPES
from delivery.compiling.evaluation import INTERNAL
from delivery.compiling.language import STATEFUL_TAGS, read_expression
from delivery.compiling.linking import SignRemainder
from delivery.compiling.logic import Unit, sources_of
from delivery.compiling.parts import Item, to_tokens, top_level
from delivery.compiling.slots import LITERAL, Slot, alternate, lay_out, to_handlebars
from delivery.compiling.variables import Person, Source, plain_source, urls_for

VERSION: Final = 1
PARTS: Final = ("subject", "html", "text")


class Program:
    """What `compile_email` made, loaded: thread-safe, to be cached per email.

    ses_subject, ses_html, ses_text: templates with `{{s0}}` for slots, nothing else special.
    segments: the same parts as constant, slot name, constant, … for providers without templates.
    slot_names: every slot, in the order of first use.
    values(person, tokens): one person's slot values, escaped for their places; raises RenderError when the author's
    logic fails on this person's data. About 5 µs with eight variables; see tests/benchmarks/bench_compile.py.
    """

    def __init__(self, segments: dict[str, tuple[str, ...]], slot_names: tuple[str, ...], values: Values) -> None:
        self.segments = segments
        self.slot_names = slot_names
        self.values = values
        self.ses_subject = to_handlebars(segments["subject"])
        self.ses_html = to_handlebars(segments["html"])
        self.ses_text = to_handlebars(segments["text"])

    @classmethod
    def load(cls, payload: Mapping[str, object], *, sign_remainder: SignRemainder | None = None) -> Self:
        """Load a payload. sign_remainder is needed when a link differs from person to person.

        Raises ValueError for a payload of another version, or for a missing `sign_remainder`.
        """
        if payload.get("version") != VERSION:
            raise ValueError(f"This email was compiled by another version ({payload.get('version')}).")
        links = cast("list[dict[str, object]]", payload["links"])
        if sign_remainder is None and any(link["variable"] for link in links):
            raise ValueError("This email has links that differ from person to person: pass sign_remainder.")
        parts = cast("dict[str, list[Item]]", payload["parts"])
        shared = {"organization": payload["organization"], **urls_for(str(payload["public_url"]))}
        layout = _Layout(shared, cast("list[str]", payload["attributes"]))
        sequences = {part: layout.arrange(parts[part]) for part in PARTS}
        names: dict[Slot, str] = {}
        segments = {
            part: alternate(sequence, lambda slot: names.setdefault(slot, f"s{len(names)}"))
            for part, sequence in sequences.items()
        }
        values = Generator(layout.units, sign_remainder or sign_nothing).build(names)
        return cls(segments, tuple(names.values()), values)

    def render(self, person: Person, tokens: Tokens) -> Rendered:
        """Fill the email in for a person: byte for byte what SES makes of templates and values."""
        values = self.values(person, tokens)
        return Rendered(*(fill(self.segments[part], values) for part in PARTS))


def fill(segments: Sequence[str], values: Mapping[str, str]) -> str:
    """Join segments with one person's values."""
    return "".join(values[part] if index % 2 else part for index, part in enumerate(segments))


def sign_nothing(track: str, link_no: int, remainder: str) -> str:
    """Stand in for a signer where no link needs one."""
    raise NotImplementedError


class _Layout:
    """Decides what is constant, what is a plain value and what needs Liquid."""

    def __init__(self, shared: Mapping[str, object], known: Sequence[str]) -> None:
        self.units: list[Unit] = []
        self._by_sources: dict[tuple[Source, ...], int] = {}
        self._known = known
        self._shared = shared

    def arrange(self, items: Sequence[Item]) -> list[str | Slot]:
        """Turn a part's items into constants and slots."""
        own = _own_names(items)
        sequence: list[str | Slot] = []
        blocks: list[tuple[int, list[Item]]] = []  # each with its place in the sequence
        for group in top_level(items):
            plain = _plain(group[0], own) if len(group) == 1 else None
            if plain is not None:
                sequence += plain
                continue
            blocks.append((len(sequence), group))
            if not _is_silent(group):
                sequence.append(Slot(LITERAL))
        self._add_units(blocks, sequence, stateful=bool(own))
        return lay_out(sequence)

    def _add_units(self, blocks: list[tuple[int, list[Item]]], sequence: list[str | Slot], *, stateful: bool) -> None:
        # Where something is assigned or counted, all blocks of the part run in order in one context.
        together = self._new_unit(sources_of([group for _, group in blocks])) if stateful else None
        for place, group in blocks:
            unit = self._unit_for(sources_of([group])) if together is None else together
            output = self.units[unit].add(group, ordered=stateful)
            if not _is_silent(group):
                sequence[place] = Slot(("logic", unit, output))

    def _unit_for(self, sources: tuple[Source, ...]) -> int:
        # Blocks that read the same values share a key and a look-up; HTML and text part do so mostly.
        if sources not in self._by_sources:
            self._by_sources[sources] = self._new_unit(sources)
        return self._by_sources[sources]

    def _new_unit(self, sources: tuple[Source, ...]) -> int:
        self.units.append(Unit(sources, self._shared, self._known))
        return len(self.units) - 1


def _own_names(items: Sequence[Item]) -> set[str]:
    """Names that the part itself gives values to; not empty when its blocks depend on their order."""
    tags = [item for item in items if item[0] == "t" and item[1] in STATEFUL_TAGS]
    ordered = any(item[0] == "t" and item[1] == "for" and "continue" in item[2] for item in items)
    if not tags and not ordered:
        return set()
    analysis = INTERNAL.parse_tokens(to_tokens(items)).analyze(include_partials=False)
    counters = {str(item[2]).strip() for item in tags if item[1] in ("increment", "decrement")}
    return {*analysis.locals, *counters, "forloop"}


def _is_silent(group: Sequence[Item]) -> bool:
    return group[0][0] == "t" and group[0][1] in ("assign", "capture")


def _plain(item: Item, own: set[str]) -> list[str | Slot] | None:
    """Turn an item into constants and plain slots; None when it needs Liquid."""
    if item[0] == "c":
        return [item[1]]
    if item[0] == "o":
        value = _plain_value(item, own)
        return None if value is None else [value]
    if item[0] == "l":
        pieces: list[str | Slot] = []
        for inner in item[2]:
            piece = inner[1] if inner[0] == "c" else _plain_value(inner, own) if inner[0] == "o" else None
            if piece is None:
                return None
            pieces.append(piece)
        return [Slot(("link", item[1], tuple(pieces)))]
    return None


def _plain_value(item: Item, own: set[str]) -> str | Slot | None:
    expression = read_expression(item[1])
    if expression.literal is not None:
        return ESCAPES[item[2]](expression.literal)
    if expression.path is None or expression.path[0] in own:
        return None
    source = plain_source(expression.path)
    return None if source is None else Slot(("value", source, item[2], expression.default))
