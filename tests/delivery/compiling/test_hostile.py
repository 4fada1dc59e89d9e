from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delivery.compiling import CompileError
from delivery.compiling.handlebars import substitute
from tests.delivery.compiling.emails import PERSON, TOKENS, blocked, compiled, loaded, rendered

FRAGMENTS = st.sampled_from(
    [
        "{{ city }}", "{{ first_name | default: '{' }}", "{{ points | plus: 1 }}", "{% if vip %}", "{% else %}", "{% endif %}",
        "{% for t in tags %}", "{% endfor %}", "{{ t }}", "{% assign x = city %}", "{{ x }}", "{% raw %}", "{% endraw %}",
        "{% comment %}", "{% endcomment %}", "{% case plan %}", "{% when 'gold' %}", "{% endcase %}", "{{", "}}", "{%", "%}", "{", "\\",
        "<p>", "</p>", "<table>", "<tr>", "<td>", "</table>", '<a href="https://a.example/', "{{ code }}", '">', "</a>", "<b", " ",
        'style="color: ', "'", '"', ">", "<!--", "-->", "<!--[if mso]>", "<![endif]-->", "<style>", "</style>", "&amp;", "x", "\n",
        "{{ unsubscribe_url }}", "{% break %}", "{% cycle 'a', 'b' %}", "{% increment n %}", "<title>", "</title>", "<br>", "<body>",
        "{%- if city -%}", "{{- city -}}", "{% capture q %}", "{% endcapture %}", "</body>", "<!DOCTYPE html>", "{{ q }}", "\ufdd0",
    ]
)  # fmt: skip


LEAVES = st.sampled_from(
    [
        "{{ city }}", "{{ first_name | default: '{' }}", "{{ points | plus: 1 }}", "{{ x }}", "{{ name | upcase }}", "{{ t }}", "{", "}",
        "\\", "x ", " ", "\n", "&amp;", "{% assign x = city %}", "{% increment n %}", "{% cycle 'a', '{' %}", "{{ unsubscribe_url }}",
        "{% raw %}{{ a }}{% endraw %}", "{% raw %}\\{{{% endraw %}", "{{- city -}}", "<br>", "{{ '{' }}", "{% comment %}{{ y }}{% endcomment %}",
        "{% capture q %}a{{ city }}b{% endcapture %}", "{{ q }}", "<!-- {{ city }} -->", '<img src="{{ logo }}" alt="{{ city }}">',
        "<!--[if mso]><i>{{ city }}</i><![endif]-->", "{{ organization.name }}", "{{ tags }}", "{{ attributes[x] }}", "&lt;{{ city }}&gt;",
    ]
)  # fmt: skip
WRAPPERS = st.sampled_from(
    [
        "{% if vip %}·{% endif %}", "{% if city == 'Lisbon' %}·{% else %}·{% endif %}", "{% for t in tags %}·{% endfor %}",
        "{% unless x %}·{% endunless %}", "{% case plan %}{% when 'gold' %}·{% else %}·{% endcase %}", "{% ifchanged %}·{% endifchanged %}",
        "<div>·</div>", '<a href="https://a.example/?q={{ code }}">·</a>', "<ul><li>·</li></ul>", "<table><tr><td>·</td></tr></table>",
        '<b title="{{ city }}" style="color: {{ color }}; {% if vip %}margin: 0{% endif %}">·</b>', "<style>b{padding:0}</style>·",
        '<a href="{% if vip %}https://a.example/{% else %}https://b.example/?{{ city }}{% endif %}">·</a>',
    ]
)  # fmt: skip
SOURCES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map("".join),
        st.tuples(WRAPPERS, inner).map(lambda pair: pair[0].replace("·", pair[1])),
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.one_of(SOURCES, SOURCES, st.lists(FRAGMENTS, max_size=25).map("".join)))
def test_any_source_compiles_faithfully_or_says_why_not(source: str) -> None:
    with contextlib.suppress(CompileError):
        program = loaded(compiled(source, subject=source, text=source))
        hostile = {**PERSON, "first_name": "}}{{s0}}\\<b>", "attributes": {"city": "{{s1}}\"'", "code": "../?#"}}
        for person in (PERSON, hostile):
            values = program.values(person, TOKENS)
            meant = program.render(person, TOKENS)
            assert (substitute(program.ses_subject, values), substitute(program.ses_html, values)) == meant[:2]
            assert substitute(program.ses_text, values) == meant.text
            assert "\n" not in meant.subject


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="<>&\"'{}\\ab\n\ufdd0\ufdd2", max_size=12))
def test_no_value_opens_a_tag_or_leaves_an_attribute(value: str) -> None:
    html = rendered(
        '<p title="{{ city }}">{{ city }}{% if city %}<i title="{{ city }}">{{ city }}</i>{% endif %}</p>',
        {"attributes": {"city": value}},
    ).html

    inside = html.partition("<p title=")[2].partition("</p>")[0]
    if value:
        assert inside.count("<") == 2
        assert inside.count('"') == 4
    assert "{{" not in html


@pytest.mark.parametrize(
    "source",
    [
        "{{" * 100_000, "{%" * 100_000, "{{" + " " * 200_000, "{% raw %}" * 50_000, "{#" * 100_000, "<" * 50_000, "<!--" * 100_000,
        "<!--[if mso]>" * 40_000 + "<![endif]-->", '<a x="' * 100_000, "<a " * 100_000, "<script>" * 50_000, "<div>" * 100_000,
        "<b a=1>" * 40 + "<p>x" * 20_000, "{% if city %}" * 1000, "{{ city }}" * 8_000, "{{ x" + " " * 5000 + "}}",
    ],
    ids=lambda source: source[:12],
)  # fmt: skip
def test_nothing_hangs_or_kills_the_process(source: str) -> None:
    begin = time.process_time()

    with contextlib.suppress(CompileError):
        compiled(source)

    assert time.process_time() - begin < 10


def test_deep_nesting_is_refused_before_a_parser_sees_it() -> None:
    assert [finding.code for finding in blocked("<div>" * 300)] == ["too_deep"]
    assert [finding.code for finding in blocked("<b>" * 30)] == ["too_deep"]
    assert compiled("<p>x" * 3000 + "<table><tr><td>" * 40).findings == []


def test_style_sheets_are_never_fetched_nor_read_from_disk(tmp_path: Path) -> None:
    sheet = tmp_path / "x.css"
    sheet.write_text("p{color:red}")

    html = rendered(f'<html><head><link rel="stylesheet" href="{sheet}"></head><body><p>x</p></body></html>').html

    assert "<p>x</p>" in html


def test_a_framed_document_takes_no_values() -> None:
    assert [finding.code for finding in blocked('<iframe srcdoc="{{ city }}"></iframe>')] == ["event_handler"]
