from __future__ import annotations

import pytest

from tests.delivery.compiling.emails import blocked, body, codes, compiled, rendered


def test_media_queries_and_hover_stay_and_only_plain_rules_are_inlined() -> None:
    style = (
        "p{color:red} a:hover{color:blue} @media (max-width:600px){p{color:green!important}}"
        " @media (prefers-color-scheme:dark){p{color:#fff}}"
    )

    html = rendered(f"<html><head><style>{style}</style></head><body><p>x</p></body></html>").html

    assert f"<style>{style}</style>" in html
    assert '<p style="color: red;">x</p>' in html


def test_conditional_comments_stay_byte_for_byte() -> None:
    twin = (
        '<!--[if mso]><v:roundrect href="https://example.com"><w:anchorlock/></v:roundrect><![endif]-->'
        '<!--[if !mso]><!--><a href="https://example.com">x</a><!--<![endif]-->'
    )

    html = body(f"<body>{twin}<![if !mso]><b>y</b><![endif]></body>")

    assert html == twin.replace('"https://example.com">x', '"https://mail.example/c/TRACK/1">x') + (
        "<![if !mso]><b>y</b><![endif]>"
    )


def test_a_variable_in_a_conditional_comment_is_filled_in_and_escaped() -> None:
    html = body("<!--[if mso]><td>{{ first_name }}</td><![endif]-->", {"first_name": "-->&<b>"})

    assert html == "<!--[if mso]><td>--&gt;&amp;&lt;b&gt;</td><![endif]-->"


@pytest.mark.parametrize(
    "html", ["<body><!--[if {{ plan }}]>a<![endif]--><p>x</p></body>", "<!doctype {{ first_name }}><body>x</body>"]
)
def test_a_variable_in_a_declaration_is_refused(html: str) -> None:
    assert [finding.code for finding in blocked(html)] == ["tag_slot"]


def test_the_doctype_stays_as_written() -> None:
    doctype = (
        '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1.dtd">'
    )

    assert rendered(f"{doctype}<html><body>x</body></html>").html.startswith(f"{doctype}<html>")
    assert rendered("<p>x</p>").html.startswith("<!DOCTYPE html>\n<html>")


def test_a_loop_over_rows_repeats_rows_only() -> None:
    html = body("<table>{% for tag in tags %}<tr><td>{{ tag }}</td></tr>{% endfor %}</table>")

    assert html == "<table><tbody><tr><td>a</td></tr><tr><td>b &amp; c</td></tr></tbody></table>"


def test_conditions_with_comparisons_survive_html_parsing() -> None:
    html = "<table><tr>{% if points > 5 and points < 9 %}<td>some</td>{% else %}<td>none</td>{% endif %}</tr></table>"

    assert body(html) == "<table><tbody><tr><td>some</td></tr></tbody></table>"
    assert body(html, {"attributes": {"points": 5}}) == "<table><tbody><tr><td>none</td></tr></tbody></table>"


def test_tags_inside_attribute_values_work() -> None:
    html = '<p class="{% if vip %}gold{% else %}plain{% endif %}" style="color: {{ color }};margin: 0">x</p>'

    assert body(html, {"attributes": {"vip": True, "color": "#fff"}}) == (
        '<p class="gold" style="color: #fff;margin: 0">x</p>'
    )
    assert body(html) == '<p class="plain" style="color: ;margin: 0">x</p>'


def test_a_css_value_that_is_more_than_a_value_is_dropped() -> None:
    html = '<p style="color: {{ color }}">x</p>'

    for value in ("red;background:url(//evil)", "expression(alert(1))", "url(x)", 'red"onclick="', "\\72 ed", "{{s0}}"):
        assert body(html, {"attributes": {"color": value}}) == '<p style="color: ">x</p>'
    assert body(html, {"attributes": {"color": "rgb-ish 10% #a1b2c3"}}) == '<p style="color: rgb-ish 10% #a1b2c3">x</p>'


@pytest.mark.parametrize(
    ("html", "code"),
    [
        ("<a href={{ email }}>x</a>", "unquoted_attribute"),
        ("<p title=a{{ email }}>x</p>", "unquoted_attribute"),
        ("<script>var a = '{{ first_name }}'</script>", "script_slot"),
        ("<b onclick=\"f('{{ first_name }}')\">x</b>", "event_handler"),
        ("<style>a{color:{{ color }}}</style>", "style_slot"),
        ("<p {% if vip %}class='x'{% endif %}>x</p>", "tag_slot"),
        ("<b{{ first_name }}>x", "tag_slot"),
        ('<p style="{{ color }}">x</p>', "css_slot"),
        ("<p style=\"background: url('{{ logo }}')\">x</p>", "css_slot"),
        ("{% if vip %}<div>{% endif %}x</div>", "branch_context"),
        ('<a href="{% if vip %}x">{% else %}y">{% endif %}z</a>', "branch_context"),
        ('{% if vip %}<a href="https://x/{% else %}<a href="https://y/{% endif %}">z</a>', "branch_context"),
        ("<table>{{ first_name }}<tr><td>x</td></tr></table>", "moved"),
        ('<p title="{{ first_name | raw }}">x</p>', "raw_slot"),
    ],
)
def test_what_cannot_be_made_safe_is_refused(html: str, code: str) -> None:
    findings = blocked(html, allow_raw=True)

    assert [finding.code for finding in findings][:1] == [code]
    assert findings[0].line == 1


def test_pictures_inside_the_html_are_refused_and_relative_ones_reported() -> None:
    html = (
        '<img src="data:image/png;base64,AAAA" alt=""><img src="blob:https://x/1" alt="">\n'
        '<img src="file:///c:/x.png" alt="">'
    )

    assert [(finding.code, finding.line) for finding in blocked(html)] == [
        ("embedded_picture", 1),
        ("local_picture", 1),
        ("local_picture", 2),
    ]
    found = compiled('<img src="/media/x.png"><img src="" alt="x">').findings
    assert [(finding.code, finding.column) for finding in found] == [
        ("missing_alt", 1),
        ("relative_picture", 1),
        ("empty_picture", 25),
    ]


def test_html_over_a_megabyte_is_refused_with_its_size() -> None:
    [finding] = blocked("x" * 1_200_000)

    assert finding.code == "too_large"
    assert finding.message == "The HTML is 1200 KB; at most 1000 KB can be sent."


def test_gmails_clipping_is_judged_by_the_final_bytes() -> None:
    links = "".join(f'<a href="https://example.com/{number}">x</a>' for number in range(150))
    wide = compiled("<p>" + "ж" * 50_000 + "</p>" + links)
    narrow = compiled("<p>" + "z" * 50_000 + "</p>" + links)

    assert wide.html_bytes > 102 * 1024
    assert "clipped" in codes(wide)
    assert "clipped" not in codes(narrow)
    assert len(links) < narrow.html_bytes - 50_000 - 2_000


def test_private_characters_of_the_author_do_no_harm() -> None:
    assert body("<p>a\U00100000\ufdd0b {{ first_name }}</p>", {"first_name": "\U00100001\ufdd1Ada"}) == (
        "<p>ab \U00100001Ada</p>"
    )


def test_entities_and_raw_blocks_survive() -> None:
    html = body("<p>&lt;b&gt; &amp;amp; {% raw %}{{ not }} {% liquid %}{% endraw %}</p>")

    assert html == "<p>&lt;b&gt; &amp;amp; {{ not }} {% liquid %}</p>"


def test_a_preheader_comes_first_and_stays_out_of_the_text() -> None:
    email = rendered("<body><p>x</p></body>", preheader="News & {{ city }}")

    assert '<body><div style="display:none;' in email.html
    assert ">News &amp; Lisbon&#847;" in email.html
    assert "News" not in email.text


def test_the_open_pixel_is_the_last_thing_in_the_body() -> None:
    html = rendered("<p>x</p>").html

    assert html.endswith('border:0"></body></html>')
    assert '<img src="https://mail.example/o/TRACK.gif" width="1" height="1" alt=""' in html
