from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pytest
from css_inline import InlineError

from delivery.compiling import Program, compiler, document, resolve_link
from delivery.compiling.handlebars import HandlebarsError
from delivery.compiling.program import sign_nothing
from tests.delivery.compiling.emails import PERSON, TOKENS, blocked, body, compiled, loaded, rendered


@pytest.mark.parametrize(
    ("html", "code"),
    [
        ('<b title="{{ city }}"><p>x</b>y</p>', "moved"),
        ('<p title="{{ city }}" title="{{ name }}">x</p>', "moved"),
        ("<p>{% break %}</p>", "logic_fails"),
        ("<p>{{ unsubscribe_url | append: 'x' }}</p>", "address_filter"),
        ("<p>{{ 'x' | append: unsubscribe_url }}</p>", "address_filter"),
        ("<p>{% assign u = unsubscribe_url %}{{ u }}</p>", "address_filter"),
        ("<p>{% capture u %}{{ unsubscribe_url }}{% endcapture %}{{ u }}</p>", "capture_markup"),
        ('<a href="https://evil.example/?back={{ unsubscribe_url }}">x</a>', "address_inside"),
        ('<img src="https://evil.example/{{ preferences_url }}" alt="">', "address_inside"),
        ('<img src="foo:bar" alt="">', "unsafe_link"),
        ("<p>{{ city | default: 'a' | nosuch: 1 }}</p>", "unknown_filter"),
        ("<p>{% for email in tags %}x{% endfor %}</p>", "reserved_name"),
        ("<p>{% if city %}x{% endif %}{% for x %}{% endfor %}</p>", "syntax"),
        ("<p>{% case city %}{% endif %}{% endcase %}</p>", "syntax"),
        (
            "<p>{% for i in (1..19000) %}{% if c1 or c2 or c3 or c4 or c5 or c6 or c7 or c8 or c9 or c10 or c11 %}{% endif %}"
            "{% endfor %}</p>",
            "logic_fails",
        ),
    ],
)
def test_more_that_is_refused(html: str, code: str) -> None:
    assert blocked(html)[0].code == code


@pytest.mark.parametrize(
    ("html", "attributes", "shown"),
    [
        ("{{ points | default: 0 }}{{ points | default: vip }}", {}, "0"),
        (
            "{% if '' == city %}a{% endif %}{% if empty == city %}b{% endif %}{% if city == vip %}c{% endif %}",
            {},
            "abc",
        ),
        ("{% if subscriber %}{{ subscriber.city }}{% endif %}", {"city": "Oslo"}, "Oslo"),
        ("{{ ['city'] }}{{ [code] }}", {"city": "Oslo", "code": "city"}, "OsloOslo"),
        ("{{ points }}", {"points": Decimal("1.50")}, "1.50"),
        ("{{ city }}", {"city": datetime.date(2026, 1, 2)}, "2026-01-02"),
        ("{{ city | default: 'x' }}", {"city": 0}, "0"),
        ("{{ city | default: 'x' }}", {"city": []}, "x"),
        ("{{ points | plus: 1 }}{% if points > 3 %}more{% endif %}", {}, "1"),
        ("{{ (1..3) }}", {}, "1..3"),
        ("<span>{% if unsubscribe_url %}x{% endif %}</span>", {}, "<span>x</span>"),
    ],
)
def test_values_in_corners(html: str, attributes: dict[str, Any], shown: str) -> None:
    assert body(f"<p>{html}</p>", {"attributes": attributes}) == f"<p>{shown}</p>"


def test_own_addresses_in_text_and_attributes_are_written_out() -> None:
    html = body('<p title="{{ web_view_url }}">{{ unsubscribe_url }}{% if city %}{{ preferences_url }}{% endif %}</p>')

    assert html == (
        '<p title="https://mail.example/v/TRACK">https://mail.example/u/MANAGEhttps://mail.example/p/MANAGE</p>'
    )


def test_each_branch_of_a_pictures_address_is_checked() -> None:
    html = '<img src="{% if vip %}{{ logo }}{% else %}{{ logo }}?x={{ city }}{% endif %}" alt="{{ city }}{% if vip %}!{% endif %}">'

    assert 'src="https://l.example/a?x=a%2Fb"' in body(
        html, {"attributes": {"logo": "https://l.example/a", "city": "a/b"}}
    )
    assert 'src="#"' in body(html, {"attributes": {"logo": "javascript:x", "vip": True}})
    assert rendered(html, {"attributes": {"city": "sea", "vip": True}}).text.startswith("sea!")


@pytest.mark.parametrize(
    ("href", "code"), [("mailto:{{ email }}", ""), ("foo:{{ city }}", "unknown_scheme"), ("/x/{{ city }}", "relative_link"),
                       ("#{{ city }}", ""), ("x{{ unsubscribe_url }}", "address_inside")]
)  # fmt: skip
def test_addresses_that_begin_otherwise(href: str, code: str) -> None:
    if code == "address_inside":
        assert [finding.code for finding in blocked(f'<a href="{href}">x</a>')] == [code]
        return
    compilation = compiled(f'<a href="{href}">x</a>')

    assert [finding.code for finding in compilation.findings] == ([code] if code else [])
    assert compilation.links == []
    if href.startswith("mailto"):
        assert (
            '<a href="mailto:a%40example.com">'
            in loaded(compilation).render({**PERSON, "email": "a@example.com"}, TOKENS).html
        )


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://пример.example?", "https://xn--e1afmkfd.example?"),
        ("https://user@пример.example:8443/?#", None),
        ("https://a_ж..example/ж", "https://a_%D0%B6..example/%D0%B6"),
        ("https://example.com/ж?ж#ж", "https://example.com/%D0%B6?%D0%B6#%D0%B6"),
        ("HTTPS://Example.com/%C3%A9 x", "HTTPS://Example.com/%C3%A9%20x"),
    ],
)
def test_targets_are_kept_as_written_but_for_what_must_be_encoded(url: str, target: str | None) -> None:
    payload = compiled(f'<a href="{url}">x').payload

    found = resolve_link(payload, 1)

    assert found is not None
    assert found.isascii()
    if target:
        assert found == target


def test_a_link_around_nothing_has_no_label_and_takes_a_later_one() -> None:
    links = compiled(
        '<a href="https://a.example"><img src="https://x/y"></a><a href="https://a.example">later</a>'
    ).links

    assert [(link.label, link.positions) for link in links] == [("later", (1, 2))]
    assert compiled('<a href="https://a.example"></a>').links[0].label == ""


def test_an_address_in_a_given_text_counts() -> None:
    text = rendered(text="Street 1 1000 Lisbon {% if vip %}{{ unsubscribe_url }}{% endif %}").text

    assert "You receive" not in text
    assert "\nUnsubscribe: " in text


def test_a_postal_address_inside_a_block_is_added_again() -> None:
    html = "<p>a {% if vip %}Street 1 1000 Lisbon{% if city %}x{% endif %}{% endif %} b</p><p>Street 1</p>"

    assert "You receive" in loaded(compiled(html)).ses_html


def test_tables_without_rows_at_their_beginning_are_left_alone() -> None:
    assert body("<table></table><table>") == "<table></table><table></table>"


def test_more_liquid_than_can_be_told_apart_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "MAX_PIECES", 3)

    assert [finding.message for finding in blocked("{{ city }}" * 4)] == ["There are more than 3 pieces of Liquid."]


def test_nothing_is_signed_where_no_link_needs_it() -> None:
    program = Program.load(compiled("<p>{{ city }}</p>").payload)

    assert program.values(PERSON, TOKENS)["s0"] == "Lisbon"
    with pytest.raises(NotImplementedError):
        sign_nothing("t", 1, "x")


def test_an_inliner_that_gives_up_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def inline(self, html: str) -> str:
            raise InlineError("no")

    monkeypatch.setattr(document, "_INLINER", Broken())

    assert [(finding.code, finding.message) for finding in blocked()] == [("styles", "The styles can't be inlined: no")]


def test_a_template_that_ses_would_render_otherwise_is_never_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "substitute", lambda template, values: "other")
    assert [finding.code for finding in blocked()] == ["mismatch"]

    def refuse(template: str, values: dict[str, str]) -> str:
        raise HandlebarsError("no")

    monkeypatch.setattr(compiler, "substitute", refuse)
    assert [finding.code for finding in blocked()] == ["mismatch"]


def test_blocks_around_conditional_comments_and_spans_of_rows_work() -> None:
    html = (
        "{% if vip %}<!--[if mso]><i>{{ city }}</i><![endif]-->{% else %}<!--[if mso]><b>x</b><![endif]-->{% endif %}"
    )

    assert body(html) == "<!--[if mso]><b>x</b><![endif]-->"
    assert body(html, {"attributes": {"vip": True, "city": "<"}}) == "<!--[if mso]><i>&lt;</i><![endif]-->"
