from __future__ import annotations

from typing import Any

from hypothesis import assume, given, settings

from delivery.compiling import CompileError
from delivery.compiling.language import AUTHOR
from tests.delivery.compiling.emails import ORGANIZATION, PERSON, SCHEMA, TOKENS, compiled, loaded
from tests.delivery.compiling.test_hostile import SOURCES

PEOPLE: list[dict[str, Any]] = [
    PERSON,
    {**PERSON, "tags": [], "attributes": {}},
    {**PERSON, "first_name": "", "attributes": {"vip": True, "city": "Lisbon", "points": 3, "plan": "x"}},
]


def reference(source: str, person: dict[str, Any]) -> str:
    """Render a source by the Liquid library alone."""
    attributes: dict[str, object] = dict.fromkeys(SCHEMA.attributes)
    attributes |= person["attributes"]
    fields = {
        name: person[name] or None for name in ("email", "first_name", "last_name", "locale", "time_zone", "tags")
    }
    fields["name"] = f"{person['first_name']} {person['last_name']}".strip()
    return AUTHOR.from_string(source).render(
        **attributes,
        **fields,
        attributes=attributes,
        organization=ORGANIZATION,
        unsubscribe_url="https://mail.example/u/MANAGE",
    )


@settings(max_examples=80, deadline=None)
@given(SOURCES)
def test_slots_and_memory_give_what_the_library_gives(source: str) -> None:
    # We join lists with commas, the library with nothing.
    assume("{{ tags }}" not in source and source.strip())
    try:
        program = loaded(compiled(text=source))
    except CompileError:
        return

    for person in [*PEOPLE, *PEOPLE]:
        assert program.render(person, TOKENS).text.startswith(reference(source, person).replace("\ufdd0", ""))
