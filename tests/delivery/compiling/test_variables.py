from __future__ import annotations

import time
from typing import Any

import pytest

from delivery.compiling import RenderError
from tests.delivery.compiling.emails import PERSON, TOKENS, blocked, body, codes, compiled, loaded, rendered

ALL_NAMES = (
    "{{ email }}|{{ first_name }}|{{ last_name }}|{{ name }}|{{ locale }}|{{ time_zone }}|{{ tags }}|{{ city }}|"
    "{{ attributes.city }}|{{ subscriber.city }}|{{ subscriber.attributes.city }}|{{ subscriber.first_name }}|"
    "{{ attributes['fav color'] }}|{{ organization.name }}|{{ organization.website }}"
)


def test_every_documented_name_has_its_value() -> None:
    text = rendered(
        text=ALL_NAMES + "|{{ organization.postal_address }}|{{ unsubscribe_url }}|{{ preferences_url }}"
    ).text

    assert text == (
        "ada@example.com|Ada|Lovelace|Ada Lovelace|en|Europe/Lisbon|a, b & c|Lisbon|Lisbon|Lisbon|Lisbon|Ada||Acme & Co|"
        "https://acme.example/|Street 1\n1000 Lisbon|https://mail.example/u/MANAGE|https://mail.example/p/MANAGE\n"
    )


@pytest.mark.parametrize(
    ("attributes", "shown"),
    [
        ({}, ""),
        ({"city": None}, ""),
        ({"city": ""}, ""),
        ({"city": True}, "true"),
        ({"city": False}, "false"),
        ({"city": 3}, "3"),
        ({"city": 3.0}, "3"),
        ({"city": 3.5}, "3.5"),
        ({"city": ["a", 1, None]}, "a, 1, "),
        ({"city": {"name": "x"}}, ""),
    ],
)
def test_values_of_every_type_read_the_same_in_plain_slots_and_in_logic(attributes: dict[str, Any], shown: str) -> None:
    assert (
        body("<p>{{ city }}|{% if true %}{{ city }}{% endif %}</p>", {"attributes": attributes})
        == f"<p>{shown}|{shown}</p>"
    )


@pytest.mark.parametrize("first_name", [None, "", "missing"])
def test_missing_data_is_empty_or_the_declared_default_everywhere(first_name: str | None) -> None:
    html = (
        "<p>Hi {{ first_name }}, {{ first_name | default: 'you & me' }}! {{ attributes.city.name }}"
        "{% if first_name %}a{% else %}b{% endif %}{% if first_name == '' %}c{% endif %}{% if first_name != blank %}d{% endif %}"
        "{% if first_name == nil %}e{% endif %}{% unless first_name %}f{% endunless %}{{ first_name | default: 'g' | upcase }}</p>"
    )
    person = dict(PERSON, first_name=first_name, attributes={})
    if first_name == "missing":
        del person["first_name"]

    shown = loaded(compiled(html)).render(person, TOKENS).html

    assert "<p>Hi , you &amp; me! bcefG</p>" in shown


def test_an_attribute_named_with_a_space_or_dash_works() -> None:
    html = "<p>{{ attributes['fav color'] }} {% if attributes['fav color'] == 'red' %}yes{% endif %}</p>"

    assert body(html, {"attributes": {"fav color": "red"}}) == "<p>red yes</p>"


def test_a_variable_that_nobody_has_is_a_finding_with_its_place_and_the_nearest_name() -> None:
    found = compiled(
        "<p>Hi\n  {{ fist_name }} {{ attributes.citi }} {{ subscriber.organization.api_key }} {{ organization.secret }}\n"
        "{% if plam == 'x' %}x{% endif %}{% assign mine = city %}{{ mine }}{% for t in tags %}{{ t }}{{ forloop.index }}"
        "{% endfor %}{% increment n %}{{ n }}</p>"
    ).findings

    assert [(finding.message, finding.hint, finding.line, finding.column) for finding in found] == [
        ("Nobody has “fist_name”.", "Did you mean first_name?", 2, 3),
        ("Nobody has “attributes.citi”.", "Did you mean city?", 2, 19),
        ("Nobody has “subscriber.organization.api_key”.", "", 2, 41),
        ("Nobody has “organization.secret”.", "", 2, 79),
        ("Nobody has “plam”.", "Did you mean plan?", 3, 1),
    ]
    assert {finding.code for finding in found} == {"unknown_variable"}
    assert dict(found[0].params) == {"name": "fist_name", "suggestion": "first_name"}


@pytest.mark.parametrize(
    ("html", "line", "column"),
    [
        ("<p>\nPrice {{", 2, 7),
        ("<p>{% not a tag %}", 1, 4),
        ("<p>\n\n {% if vip %}x", 3, 2),
        ('<p>{% include "/etc/passwd" %}', 1, 4),
        ("<p>{{ city }}{{ first_name | }}", 1, 14),
        ("<p>{{ }}", 1, 4),
        ("a\n{% endif %}", 2, 1),
        ("{% assign a = 1 %}\n{% if b %}", 2, 1),
        ("{{ city }}{% for x in %}{% endfor %}", 1, 11),
        ("{% if vip %}\n{% assign x %}{% endif %}", 2, 1),
        ("{{ first_name | nosuch }}", 1, 1),
        ("{{ unsubscribe_url | upcase }}", 1, 1),
        ("{% assign email = 'x' %}", 1, 1),
        ("{{ first_name | raw }}", 1, 1),
    ],
)
def test_a_mistake_is_named_with_line_and_column(html: str, line: int, column: int) -> None:
    finding = blocked(html)[0]

    assert (finding.line, finding.column) == (line, column)
    assert finding.part == "html"


def test_mistakes_in_subject_text_and_preheader_name_their_part() -> None:
    assert [finding.part for finding in blocked(subject="{{", text="{% if %}", preheader="{{ x | nosuch }}")] == [
        "subject",
        "text",
    ]
    assert [finding.part for finding in blocked(preheader="{{ x | nosuch }}")] == ["preheader"]


def test_braces_that_are_no_liquid_survive() -> None:
    html = (
        "<html><head><style>@media x{a{color:red}}</style>"
        '<script type="application/ld+json">{"a":{"b":1}}</script></head><body><p>}} { } %}</p></body></html>'
    )

    shown = rendered(html).html

    assert "<style>@media x{a{color:red}}</style>" in shown
    assert '<script type="application/ld+json">{"a":{"b":1}}</script>' in shown
    assert "<p>}} { } %}</p>" in shown


def test_a_comment_of_another_language_is_reported() -> None:
    [finding] = compiled("<p>{# hi #}</p>").findings

    assert (finding.code, finding.line, finding.column, finding.blocking) == ("foreign_comment", 1, 4, False)


def test_values_are_data_and_never_read_again() -> None:
    trick = "{{ 7|add:7 }}{% debug %}{{ settings.SECRET_KEY }}{{amazonSESUnsubscribeUrl}}{{ses:openTracker}}\\"
    email = rendered(
        "<p>{{ first_name }}</p>", {"first_name": trick}, subject="Hi {{ first_name }}", text="{{ first_name }}|"
    )

    assert f"<p>{trick.replace('{', '&#123;')}</p>" in email.html
    assert "amazonSES" not in email.subject + email.text
    assert "{ses:" not in email.subject + email.text
    assert email.subject.replace("\u2060", "") == f"Hi {trick}"
    assert email.text.replace("\u2060", "").startswith(f"{trick}|")


def test_values_are_escaped_in_html_and_left_alone_in_text_and_subject() -> None:
    name = "<img src=x onerror=alert(1)> & \"quoted\" 'too'"
    email = rendered(
        "<p title='{{ first_name }}'>{{ first_name }}</p>", {"first_name": name}, subject="{{ first_name }}"
    )

    escaped = "&lt;img src=x onerror=alert(1)&gt; &amp; &#34;quoted&#34; &#39;too&#39;"
    assert f'<p title="{escaped}">{escaped}</p>' in email.html
    assert email.subject == name
    assert email.text.startswith(name)


def test_raw_needs_permission_and_then_trusts_the_value() -> None:
    assert body("<p>{{ city | raw }}</p>", {"attributes": {"city": "<b>x</b>{{ses:openTracker}}"}}, allow_raw=True) == (
        "<p><b>x</b>{{\u2060ses:openTracker}}</p>"
    )
    assert [finding.code for finding in blocked("{% if vip %}{{ city | raw }}{% endif %}")] == ["raw_not_allowed"]


def test_a_subject_is_one_line_whatever_the_values_hold() -> None:
    subject = rendered(subject=" Hi\n {{ first_name }} \n", person={"first_name": "A\r\nBcc: x@example.com"}).subject

    assert subject == "Hi A Bcc: x@example.com"


def test_escape_filters_do_not_escape_twice() -> None:
    assert body("<p>{{ city | escape }}{{ city | upcase | escape }}</p>", {"attributes": {"city": "a<b"}}) == (
        "<p>a&lt;bA&lt;B</p>"
    )


def test_captured_text_is_escaped_once_and_may_hold_no_markup() -> None:
    html = "<p>{% capture full %}{{ first_name }} &amp; {{ city }}{% endcapture %}{{ full }}|{{ full | upcase }}</p>"

    assert body(html, {"first_name": "<A>"}) == "<p>&lt;A&gt; &amp; Lisbon|&lt;A&gt; &amp; LISBON</p>"
    assert [finding.code for finding in blocked("<p>{% capture x %}<b>y</b>{% endcapture %}</p>")] == ["capture_markup"]


def test_assigned_counted_and_cycled_names_follow_the_documents_order() -> None:
    html = (
        "<p>{% assign city = 'Oslo' %}{{ city }}{% increment n %}{% increment n %}{{ n }}"
        "{% cycle 'a', 'b' %}{% cycle 'a', 'b' %}{% if vip %}{% else %}{% assign city = first_name %}{% endif %}{{ city }}</p>"
    )

    assert body(html) == "<p>Oslo012abAda</p>"
    assert body("<p>{{ city }}{% assign city = 'Oslo' %}{{ city }}</p>") == "<p>LisbonOslo</p>"


def test_a_loop_that_goes_on_where_another_stopped_works() -> None:
    html = (
        "<p>{% for t in tags limit: 1 %}{{ t }}{% endfor %}-{% for t in tags offset: continue %}{{ t }}{% endfor %}</p>"
    )

    assert body(html) == "<p>a-b &amp; c</p>"


@pytest.mark.parametrize(
    "html",
    [
        "{% for i in (1..100000000) %}x{% endfor %}",
        "{% for i in (1..1000) %}{% for j in (1..1000) %}{% endfor %}{% endfor %}",
        "{% assign s = 'xxxxxxxxxxxxxxxx' %}{% for i in (1..100) %}{% assign s = s | append: s %}{% endfor %}{{ s }}",
        "{% for i in (1..20000) %}{{ name }}{{ name }}{{ name }}{{ name }}{{ name }}{{ name }}{{ name }}{% endfor %}",
        "{{ 1 | divided_by: 0 }}",
    ],
)
def test_logic_that_never_ends_or_fails_is_found_at_compile_time(html: str) -> None:
    begin = time.monotonic()

    [finding] = blocked(f"<p>{html}</p>")

    assert finding.code == "logic_fails"
    assert time.monotonic() - begin < 5


def test_logic_that_fails_for_some_people_is_a_warning() -> None:
    [finding] = compiled("<p>{{ 10 | divided_by: points }}</p>").findings

    assert (finding.code, finding.blocking) == ("logic_may_fail", False)
    assert finding.message == (
        "The Liquid in this email fails for some people: divided_by: can't divide by 0. They would not get it."
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("2026-03-14", "14.03.2026"),
        (None, ""),
        ("", ""),
        ("soon", "soon"),
        ("9" * 30, "9" * 30),
        ([], ""),
    ],
)
def test_a_date_is_formatted_and_what_is_none_never_fails(value: object, shown: str) -> None:
    assert body("<p>{{ city | date: '%d.%m.%Y' }}</p>", {"attributes": {"city": value}}) == f"<p>{shown}</p>"


def test_logic_that_fails_for_one_person_fails_for_that_person_alone() -> None:
    program = loaded(compiled("<p>{% if points %}{{ 10 | divided_by: points }}{% endif %}</p>"))

    with pytest.raises(RenderError, match="divide by 0"):
        program.values({**PERSON, "attributes": {"points": 0}}, TOKENS)
    assert "<p>5</p>" in program.render({**PERSON, "attributes": {"points": 2}}, TOKENS).html


def test_equal_looking_values_of_other_types_are_not_mixed_up_in_memory() -> None:
    program = loaded(compiled("<p>{% if true %}{{ points }}{% endif %}</p>"))
    shown = []

    for value in (1, True, 1.0, "1", "true", None, "None", ["a"], "['a']", 0, False):
        html = program.render({**PERSON, "attributes": {"points": value}}, TOKENS).html
        shown.append(html.partition("<p>")[2].partition("</p>")[0])

    assert shown == ["1", "true", "1", "1", "true", "", "None", "a", "[&#39;a&#39;]", "0", "false"]


def test_a_computed_attribute_name_reads_the_right_persons_value() -> None:
    program = loaded(compiled("<p>{% for t in tags %}{{ attributes[t] }}{% endfor %}</p>"))
    html = [
        program.render({**PERSON, "tags": ["city"], "attributes": {"city": city}}, TOKENS).html
        for city in ("Oslo", "Rome")
    ]

    assert ["<p>Oslo</p>" in html[0], "<p>Rome</p>" in html[1]] == [True, True]


def test_names_of_the_person_do_not_leak_into_code() -> None:
    html = "<p>{{ attributes[\"x'] + __import__('os').name + ['\"] }}{{ attributes['\\n'] }}</p>"
    program = loaded(compiled(html))

    assert "<p></p>" in program.render(PERSON, TOKENS).html


def test_memory_of_outputs_is_bounded() -> None:
    program = loaded(compiled("<p>{% if first_name %}{{ first_name | upcase }}{% endif %}</p>"))

    for i in range(5_000):
        assert program.values({**PERSON, "first_name": f"n{i}"}, TOKENS)["s0"] == f"N{i}"


def test_the_clock_is_never_remembered() -> None:
    assert codes(compiled("<p>{{ 'now' | date: '%Y' }}</p>")) == []
    assert body("<p>{{ 'now' | date: '%Y' }}</p>") == f"<p>{time.localtime().tm_year}</p>"
