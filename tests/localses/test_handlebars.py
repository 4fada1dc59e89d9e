from __future__ import annotations

import json
from pathlib import Path

import pytest

from localses.handlebars import MissingAttributeError, TemplateSyntaxError, parse


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Dear {{name}}!", "Dear <b>Ana</b>!"),
        ("{{ name }}", "<b>Ana</b>"),
        ("{{{name}}}", "<b>Ana</b>"),
        ("{{&name}}", "<b>Ana</b>"),
        ("{{this.name}}{{./name}}", "<b>Ana</b><b>Ana</b>"),
        ("{{person.city}}/{{person/city}}", "Lisbon/Lisbon"),
        ("{{[odd name]}}", "odd"),
        ("{{list.1}}", "two"),
        ("{{list}}", "one,two"),
        ("{{person}}", "[object Object]"),
        ("{{yes}} {{no}} {{nothing}}|{{whole}} {{half}}", "true false |3 2.5"),
        ("a{{! said to nobody }}b{{!-- {{name}} --}}c", "abc"),
        ("a  {{~name~}}  b", "a<b>Ana</b>b"),
        ("a  {{~{name}~}}  b", "a<b>Ana</b>b"),
        ("no variables { } }} here", "no variables { } }} here"),
        ("", ""),
    ],
)
def test_a_variable_is_replaced_by_its_value_unescaped(source: str, expected: str) -> None:
    data = {
        "name": "<b>Ana</b>",
        "person": {"city": "Lisbon"},
        "list": ["one", "two"],
        "odd name": "odd",
        "yes": True,
        "no": False,
        "nothing": None,
        "whole": 3.0,
        "half": 2.5,
    }

    assert parse(source).render(data) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (r"C:\{{s0}}", "C:{{s0}}"),
        (r"C:\\{{s0}}", "C:\\value"),
        (r"\{{s0}} and {{s0}}", "{{s0}} and value"),
        (r"\{{s0}}\{{s0}}", "{{s0}}{{s0}}"),
        (r"\{{s0}}\\{{s0}}", "{{s0}}\\value"),
        (r"\\\{{s0}}", "\\\\value"),
        (r"\{{{s0}}}", "{{{s0}}}"),
    ],
)
def test_a_backslash_before_braces_works_as_in_handlebars(source: str, expected: str) -> None:
    assert parse(source).render({"s0": "value"}) == expected


@pytest.mark.parametrize(
    "source",
    [
        "a{{{s0}}",
        "a{color:{{s0}}}",
        "{{{s0}}}}",
        "{{s0",
        "{{}}",
        "{{ }}",
        "{{s0 s1}}",
        "{{s0}",
        "{{{{s0}}}}",
        "{{#if s0}}x{{/if}}",
        "{{else}}",
        "{{ else }}",
        "{{^}}",
        "{{> footer}}",
        "{{! never closed",
        "{{../s0}}",
        "{{s0(1)}}",
    ],
)
def test_what_ses_cannot_parse_is_a_syntax_error(source: str) -> None:
    with pytest.raises(TemplateSyntaxError, match="Parse error on line 1"):
        parse(source)


def test_a_syntax_error_names_its_line() -> None:
    with pytest.raises(TemplateSyntaxError, match=r"Parse error on line 3: expected '\}\}' at '\{\{broken'"):
        parse("one\ntwo\n{{broken")


def test_a_value_is_never_parsed_again() -> None:
    assert parse("{{a}}").render({"a": "{{b}}", "b": "no"}) == "{{b}}"


def test_names_are_case_sensitive_and_the_missing_one_is_named() -> None:
    template = parse("{{name}} {{person.city}}")

    assert template.missing({"Name": "Ana", "person": {"city": ""}}) == "name"
    assert template.missing({"name": "Ana", "person": {}}) == "person.city"
    assert template.missing({"name": None, "person": {"city": "x"}, "more": 1}) is None
    with pytest.raises(MissingAttributeError, match=r"person\.city"):
        template.render({"name": "Ana"})


def test_placeholders_of_ses_itself_are_no_variables() -> None:
    template = parse("{{ses:openTracker}}{{amazonSESUnsubscribeUrl}}")

    assert template.variables == ()
    assert template.render({}) == "{{ses:openTracker}}{{amazonSESUnsubscribeUrl}}"


def test_a_literal_names_a_variable_as_in_handlebars() -> None:
    assert parse("{{0}}{{true}}{{'a b'}}").render({"0": "zero", "true": "yes", "a b": "c"}) == "zeroyesc"


def test_random_templates_read_as_by_handlebars_js() -> None:
    """The cases hold what handlebars.js 4.7 made of `s0` = VAL and `a` = A without escaping; null is a parse error."""
    cases: list[tuple[str, str | None]] = json.loads((Path(__file__).parent / "handlebars_cases.json").read_text())
    assert len(cases) == 400

    for source, expected in cases:
        try:
            found = parse(source).render({"s0": "VAL", "a": "A"})
        except TemplateSyntaxError:
            found = None
        assert (source, found) == (source, expected)
