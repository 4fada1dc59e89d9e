from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.compiling import Program
from delivery.compiling.handlebars import HandlebarsError, substitute
from delivery.compiling.program import PARTS, fill
from delivery.compiling.slots import Slot, alternate, lay_out, to_handlebars
from tests.delivery.compiling.emails import PERSON, TOKENS, compiled, loaded

# Where `npm install handlebars` put the real thing; the comparison is skipped without it.
HANDLEBARS = Path(os.environ.get("HANDLEBARS_JS", "node_modules/handlebars")).absolute()

EDGES = [
    "a{% raw %}{{{ x }}}{% endraw %}{{ city }}}b{% assign q = 1 %}{ {% assign q = 2 %}{{ '{' }}{{ '{s0' }}",
    "C:\\{{ city }}\\\\{{ city }}\\",
    "{ {{ city }} } {{ city }}}} {{ city }}{",
    "{% raw %}\\{{ x }} {{{ y }}} {{amazonSESUnsubscribeUrl}} {{{{z}}}} {{!-- c --}} {{#if a}}{% endraw %}",
    "{% raw %}}}{{{% endraw %}{{ city }}{% raw %}}}{{{% endraw %}",
    "\\{% raw %}{{{% endraw %}\\{{ city }}}",
]


def templates(program: Program) -> dict[str, str]:
    return {"subject": program.ses_subject, "html": program.ses_html, "text": program.ses_text}


@pytest.mark.parametrize("source", EDGES)
def test_templates_with_awkward_edges_give_back_exactly_what_was_meant(source: str) -> None:
    program = loaded(compiled(f"<p>{source}</p>", subject=f"s {source}", text=source))
    person = {**PERSON, "attributes": {"city": "}}{{s0}}\\"}}
    values = program.values(person, TOKENS)
    meant = program.render(person, TOKENS)

    for part, template in templates(program).items():
        assert substitute(template, values) == getattr(meant, part)


def test_what_was_written_is_what_arrives() -> None:
    email = loaded(compiled(text="a{{ city }}} C:\\{{ city }} {% raw %}{{ x }}{% endraw %}|")).render(PERSON, TOKENS)

    assert email.text.startswith("aLisbon} C:\\Lisbon {{ x }}|")


def test_sess_own_placeholders_of_the_author_are_broken_up() -> None:
    program = loaded(compiled("<p>{% raw %}{{amazonSESUnsubscribeUrl}} {{ ses:openTracker }}{% endraw %}</p>"))

    html = program.render(PERSON, TOKENS).html

    assert "{{amazonSESUnsubscribeUrl}}" not in html
    assert "{{ ses:openTracker }}" not in html
    assert "&#123;&#123;amazonSESUnsubscribeUrl}}" in html


PIECES = st.lists(
    st.one_of(
        st.text(alphabet="{}\\a \n", min_size=1, max_size=6),
        st.integers(0, 2).map(lambda number: Slot(("value", number))),
    ),
    max_size=8,
)


@settings(deadline=None)
@given(PIECES)
def test_any_constants_beside_any_slots_survive_handlebars(pieces: list[str | Slot]) -> None:
    contents: dict[tuple[object, ...], str] = {("value", 0): "}}{{s1}}", ("value", 1): "\\", ("value", 2): ""}
    names: dict[Slot, str] = {}
    segments = alternate(lay_out(pieces), lambda slot: names.setdefault(slot, f"s{len(names)}"))
    values = {name: slot.before + contents.get(slot.key, "") + slot.after for slot, name in names.items()}
    meant = "".join(piece if isinstance(piece, str) else contents[piece.key] for piece in pieces)

    assert substitute(to_handlebars(segments), values) == meant
    assert fill(segments, values) == meant


@pytest.mark.parametrize(
    "template",
    [
        "{{{s0}}}",
        "{{s0}}}",
        "{{#if s0}}",
        "{{s0",
        "{{!x}}",
        "{{nosuch}}",
        "{{a.b}}",
        "{{{{s0}}}}",
        "{{s0 s0}}",
        "{{&s0}}",
    ],
)
def test_the_emulator_refuses_all_but_simple_substitutions(template: str) -> None:
    with pytest.raises(HandlebarsError):
        substitute(template, {"s0": "x"})


def test_the_emulator_knows_backslashes() -> None:
    assert substitute("\\{{s0}} \\\\{{s0}} {{ s0 }}", {"s0": "x"}) == "{{s0}} \\x x"


@pytest.mark.skipif(not shutil.which("node") or not HANDLEBARS.exists(), reason="node and handlebars are not installed")
@pytest.mark.parametrize("source", EDGES)
def test_real_handlebars_agrees(source: str) -> None:
    program = loaded(compiled(f"<p>{source}</p>", subject=f"s {source}", text=source))
    person = {**PERSON, "attributes": {"city": "}}{{s0}}\\"}}
    meant = program.render(person, TOKENS)
    script = (
        "const h=require(process.argv[1]);const i=JSON.parse(require('fs').readFileSync(0,'utf8'));"
        "const o={};for(const p in i.t)o[p]=h.compile(i.t[p],{noEscape:true,strict:true})(i.v);console.log(JSON.stringify(o))"
    )
    given_in = json.dumps({"t": templates(program), "v": program.values(person, TOKENS)})

    output = subprocess.run(
        ["node", "-e", script, str(HANDLEBARS)], input=given_in, capture_output=True, text=True, check=True, timeout=30
    ).stdout

    assert json.loads(output) == {part: getattr(meant, part) for part in PARTS}


def test_slots_are_shared_and_named_once() -> None:
    program = loaded(compiled("<p>{{ city }} {{ city }}</p>", subject="x", text="{{ city }}"))

    assert program.slot_names == tuple(f"s{number}" for number in range(len(program.slot_names)))
    assert program.ses_html.count("{{s0}}") == 2
    assert set(program.values(PERSON, TOKENS)) == set(program.slot_names)
    for part in PARTS:
        segments = program.segments[part]
        assert len(segments) % 2 == 1
        assert set(segments[1::2]) <= set(program.slot_names)
        assert fill(segments, program.values(PERSON, TOKENS)) == getattr(program.render(PERSON, TOKENS), part)


def test_a_payload_of_another_version_is_refused() -> None:
    payload = compiled("<a href='https://a.example/{{ code }}'>x</a>").payload

    with pytest.raises(ValueError, match="another version"):
        Program.load({**payload, "version": 0})
    with pytest.raises(ValueError, match="sign_remainder"):
        Program.load(payload)
