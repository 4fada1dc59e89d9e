from __future__ import annotations

import json
from urllib.parse import parse_qs

import pytest

from delivery.compiling import decode_remainder, resolve_link
from tests.delivery.compiling.emails import PERSON, TOKENS, blocked, body, codes, compiled, loaded, rendered


def test_ampersands_are_decoded_once_and_encoded_once() -> None:
    compilation = compiled(
        '<a href="https://example.com/?a=1&amp;b=2">1</a><a href="https://example.com/?a=1&b=2">2</a>'
        '<a href="https://example.com/?x=1&copy=2">3</a>'
    )

    assert [(link.no, link.url, link.label, link.positions) for link in compilation.links] == [
        (1, "https://example.com/?a=1&b=2", "1", (1, 2)),
        (2, "https://example.com/?x=1&copy=2", "3", (3,)),
    ]
    assert resolve_link(compilation.payload, 1) == "https://example.com/?a=1&b=2"
    assert resolve_link(compilation.payload, 2, "") == "https://example.com/?x=1&copy=2"
    assert resolve_link(compilation.payload, 3) is None
    assert resolve_link(compilation.payload, 0) is None
    assert resolve_link(compilation.payload, 1, "x") is None


@pytest.mark.parametrize(
    "attribute",
    [
        'href="mailto:a@example.com?subject=A%20B"',
        'href="tel:+491"',
        'href="sms:+491"',
        'href="#top"',
        'href="webcal://example.com/c.ics"',
        'href="cid:logo"',
        'href=""',
        'name="x"',
    ],
)
def test_other_links_stay_untouched(attribute: str) -> None:
    compilation = compiled(f"<a {attribute}>x</a>")

    assert compilation.links == []
    assert f"<a {attribute}>x</a>" in loaded(compilation).ses_html


def test_our_own_pages_are_no_clicks_and_resolve() -> None:
    html = (
        '<a href="{{ unsubscribe_url }}">u</a><a href="{{preferences_url}}">p</a><a href="{{ web_view_url }}">w</a>'
        '<img src="{{ logo }}" alt="x"><a href="https://example.com/?b={{ code }}&c=1">x</a>'
    )
    compilation = compiled(html)
    person = {**PERSON, "attributes": {"logo": "https://cdn.example/l.png?a=1&b=ж", "code": "a&b"}}

    email = loaded(compilation).render(person, TOKENS)

    assert [link.url for link in compilation.links] == ["https://example.com/?b={{ code }}&c=1"]
    assert '<a href="https://mail.example/u/MANAGE">u</a><a href="https://mail.example/p/MANAGE">p</a>' in email.html
    assert '<a href="https://mail.example/v/TRACK">w</a>' in email.html
    assert '<img src="https://cdn.example/l.png?a=1&amp;b=%D0%B6" alt="x">' in email.html
    assert "Unsubscribe</a>" not in email.html


def test_a_variable_remainder_travels_under_its_own_mac_and_leads_to_each_persons_page() -> None:
    compilation = compiled('<a href="https://shop.example/u/{{ attributes.code }}?n={{ first_name }}">x</a>')
    program = loaded(compilation)

    html = program.render({**PERSON, "first_name": "Zoë & Co"}, TOKENS).html

    address = html.partition('<a href="')[2].partition('"')[0]
    start, number, tail = address.rsplit("/", 2)
    encoded, mac = tail.split(".")
    remainder = decode_remainder(encoded)
    assert (start, number) == ("https://mail.example/c/TRACK", "1")
    assert remainder == "x%2F1?n=Zo%C3%AB%20%26%20Co"
    assert mac == f"mac-TRACK-1-{len(remainder)}"
    target = resolve_link(json.loads(json.dumps(compilation.payload)), 1, remainder)
    assert target == "https://shop.example/u/x%2F1?n=Zo%C3%AB%20%26%20Co"
    assert parse_qs(target.partition("?")[2]) == {"n": ["Zoë & Co"]}
    assert compilation.links[0].url == "https://shop.example/u/{{ attributes.code }}?n={{ first_name }}"
    assert compilation.links[0].variable is True


def test_somebody_without_the_value_gets_an_empty_remainder_not_another_persons() -> None:
    compilation = compiled('<a href="https://shop.example/u/{{ attributes.code }}?n={{ first_name }}">x</a>')
    program = loaded(compilation)

    nobody = {**PERSON, "attributes": {}, "first_name": None}
    values = [program.values(person, TOKENS) for person in (PERSON, nobody)]

    remainders = [
        decode_remainder(value.split("/")[2].split(".")[0])
        for found in values
        for value in found.values()
        if value.startswith("TRACK/1/")
    ]
    assert remainders == ["x%2F1?n=Ada", "?n="]


def test_links_with_the_same_variable_target_share_a_number_in_loops_too() -> None:
    compilation = compiled(
        '{% for tag in tags %}<a href="https://t.example/{{ tag }}">{{ tag }}</a>{% endfor %}<a href="https://b.example">b</a>'
    )
    html = loaded(compilation).render(PERSON, TOKENS).html

    assert [link.url for link in compilation.links] == ["https://t.example/{{ tag }}", "https://b.example"]
    assert '<a href="https://mail.example/c/TRACK/1/YQ.mac-TRACK-1-1">a</a>' in html
    assert '<a href="https://mail.example/c/TRACK/1/YiUyMCUyNiUyMGM.mac-TRACK-1-11">b &amp; c</a>' in html


def test_a_remembered_loop_carries_each_persons_own_token() -> None:
    program = loaded(
        compiled('{% if vip %}{% else %}<a href="https://b.example">b</a>{{ unsubscribe_url }}{% endif %}')
    )

    first = program.render(PERSON, TOKENS).html
    second = program.render(PERSON, TOKENS._replace(track="OTHER", manage="SECOND")).html

    assert "/c/TRACK/1" in first
    assert "/u/MANAGE" in first
    assert second == first.replace("TRACK", "OTHER").replace("MANAGE", "SECOND")


def test_each_branch_of_an_address_is_a_link() -> None:
    compilation = compiled(
        '<a href="{% if vip %}https://a.example/?x=1&amp;y=2{% else %}https://b.example/{{ code }}{% endif %}">x</a>'
    )

    assert [link.url for link in compilation.links] == ["https://a.example/?x=1&y=2", "https://b.example/{{ code }}"]
    html = '<a href="https://mail.example/c/TRACK/2/eCUyRjE.mac-TRACK-2-5">x</a>'
    assert html in loaded(compilation).render(PERSON, TOKENS).html
    vip = {**PERSON, "attributes": {"vip": True}}
    assert '<a href="https://mail.example/c/TRACK/1">x</a>' in loaded(compilation).render(vip, TOKENS).html


def test_logic_inside_a_remainder_works() -> None:
    compilation = compiled('<a href="https://a.example/{% if vip %}vip{% else %}all/{{ city }}{% endif %}#x">x</a>')

    assert 'href="https://mail.example/c/TRACK/1/YWxsL0xpc2JvbiN4.mac-TRACK-1-12"' in (
        loaded(compilation).render(PERSON, TOKENS).html
    )
    assert decode_remainder("YWxsL0xpc2JvbiN4") == "all/Lisbon#x"


@pytest.mark.parametrize(
    "href",
    [
        "&#106;avascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\tscript:alert(1)",
        " javascript:alert(1)",
        "java&#x200b;script:alert(1)",
        "data:text/html,<b>",
        "vbscript:x",
        "javascript:{{ first_name }}",
        "{% if vip %}javascript:x{% else %}https://a.example{% endif %}",
    ],
)
def test_script_links_are_refused(href: str) -> None:
    assert [finding.code for finding in blocked(f'<p><a href="{href}">x</a></p>')] == ["unsafe_link"]


@pytest.mark.parametrize(
    "value", ["javascript:alert(1)", "JaVaScRiPt:x", "java\tscript:x", "\x01javascript:x", "data:text/html,x"]
)
def test_a_value_that_is_a_script_address_becomes_harmless(value: str) -> None:
    compilation = compiled('<a href="{{ attributes.logo }}">x</a>')

    html = loaded(compilation).render({**PERSON, "attributes": {"logo": value}}, TOKENS).html

    assert '<a href="#">x</a>' in html
    assert codes(compilation) == ["untracked_link"]


@pytest.mark.parametrize(
    "href",
    [
        "https://{{ code }}.example/",
        "https://{{ code }}",
        "https://a.example{{ code }}",
        "{{ code }}:x",
        "http:{{ code }}",
    ],
)
def test_scheme_and_host_must_be_constant(href: str) -> None:
    assert [finding.code for finding in blocked(f'<a href="{href}">x</a>')] == ["variable_host"]


def test_links_that_lead_nowhere_are_reported_with_their_place() -> None:
    found = compiled('<p>\n <a href="/path">x</a> <a href="//host/x">y</a> <a href="foo:bar">z</a></p>').findings

    assert [(finding.code, finding.line, finding.column) for finding in found] == [
        ("relative_link", 2, 11),
        ("relative_link", 2, 33),
        ("unknown_scheme", 2, 58),
    ]
    assert found[0].message == "The link “/path” leads nowhere in an email."


def test_links_without_an_address_are_named_and_hinder_nothing() -> None:
    found = compiled(
        '<p>\n <a class="btn" href="">Open the <b>early</b> shop</a> <a href="#"><img src="https://x/y.png" alt="The shop"></a>'
        '<a href=" "></a> <a href="#top">Up</a> <a name="top">Top</a> <a href="{{ web_view_url }}">Web</a></p>'
    ).findings

    assert [(finding.code, finding.line, finding.column, finding.blocking, finding.message) for finding in found] == [
        ("empty_link", 2, 23, False, "The link “Open the early shop” has no address."),
        ("empty_link", 2, 65, False, "The link “The shop” has no address."),
        ("empty_nameless_link", 2, 123, False, "A link without words has no address."),
    ]


def test_a_long_or_international_address_is_kept_whole() -> None:
    long = "https://example.com/?q=" + "x" * 2500
    compilation = compiled(f'<a href="{long}">x</a><a href="https://пример.example/путь?q=а б">y</a>')

    assert resolve_link(compilation.payload, 1) == long
    assert resolve_link(compilation.payload, 2) == (
        "https://xn--e1afmkfd.example/%D0%BF%D1%83%D1%82%D1%8C?q=%D0%B0%20%D0%B1"
    )


def test_the_organizations_website_is_a_link_like_any_other() -> None:
    compilation = compiled('<a href="{{ organization.website }}about">{{ organization.name }}</a>')

    assert [(link.url, link.label) for link in compilation.links] == [("https://acme.example/about", "Acme & Co")]
    assert "Acme &amp; Co</a>" in loaded(compilation).ses_html


def test_a_picture_names_its_link_and_values_in_labels_stay_variables() -> None:
    links = compiled(
        '<a href="https://a.example"><img src="https://x/y.png" alt="The shop"></a><a href="https://b.example">Hi <b>{{ first_name }}</b></a>'
    ).links

    assert [link.label for link in links] == ["The shop", "Hi {{ first_name }}"]


@pytest.mark.parametrize("encoded", ["%%%", "a", "_w", "ж"])
def test_a_remainder_that_is_none_is_not_decoded(encoded: str) -> None:
    assert decode_remainder(encoded) is None


def test_a_forged_remainder_cannot_break_the_address() -> None:
    payload = compiled('<a href="https://shop.example/{{ code }}">x</a>').payload

    assert resolve_link(payload, 1, "a\r\nSet-Cookie: x") is None
    assert resolve_link(payload, 1, "a b") is None
    assert resolve_link(payload, 1, None) is None
    assert resolve_link(payload, 1, "@evil.example/") == "https://shop.example/@evil.example/"
    assert rendered('<a href="https://a.example/x y">z</a>').html.count("/c/TRACK/1") == 1
    assert body("<p>x</p>") == "<p>x</p>"
