from __future__ import annotations

import pytest

from delivery.compiling import markdown, markdown_to_html
from tests.delivery.compiling.emails import body


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("# Hi {{ first_name }}", "<h1>Hi {{ first_name }}</h1>\n"),
        ("*{{ a_b_c }}* **x**", "<p><em>{{ a_b_c }}</em> <strong>x</strong></p>\n"),
        (
            "[shop](https://a.example/{{ code }}?a=1&b=2)",
            '<p><a href="https://a.example/{{ code }}?a=1&amp;b=2">shop</a></p>\n',
        ),
        ("[out]({{ unsubscribe_url }})", '<p><a href="{{ unsubscribe_url }}">out</a></p>\n'),
        ("[x](https://пример.example/{{ code | upcase }})", None),
        ("| a | b |\n|---|---|\n| {{ x }} | 2 |", None),
        ("{% if vip %}\n\nGold\n\n{% endif %}", "{% if vip %}<p>Gold</p>\n{% endif %}"),
        ("{{ city }}", "<p>{{ city }}</p>\n"),
        ("{% if vip %}yes{% endif %}", "<p>{% if vip %}yes{% endif %}</p>\n"),
        ("~~old~~ https://a.example/x", '<p><s>old</s> <a href="https://a.example/x">https://a.example/x</a></p>\n'),
        ("`{{ code }}`", "<p><code>{{ code }}</code></p>\n"),
        ("[bad](javascript:alert(1))", "<p>[bad](javascript:alert(1))</p>\n"),
    ],
)
def test_markdown_becomes_html_and_liquid_stays(text: str, html: str | None) -> None:
    converted = markdown_to_html(text)

    if html is not None:
        assert converted == html
    assert "\U00100000" not in converted
    assert "%F4" not in converted


def test_a_table_cell_and_an_address_keep_their_liquid() -> None:
    converted = markdown_to_html("| a |\n|---|\n| {{ x }} |\n\n[x](https://a.example/{{ code | upcase }})")

    assert "<td>{{ x }}</td>" in converted
    assert 'href="https://a.example/{{ code | upcase }}"' in converted


def test_more_liquid_than_can_be_protected_stays_in_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markdown, "_MOST", 0)

    assert markdown_to_html("{{ a }} {{ b }}") == "<p>{{ a }} {{ b }}</p>\n"


def test_converted_markdown_compiles_with_its_logic() -> None:
    text = "{% for i in interests %}\n\n- {{ i }}\n\n{% endfor %}\n\n> {{ first_name }}"

    assert body(markdown_to_html(text)) == (
        "<ul>\n<li>art</li>\n</ul>\n<ul>\n<li>&lt;sea&gt;</li>\n</ul>\n<blockquote>\n<p>Ada</p>\n</blockquote>"
    )
