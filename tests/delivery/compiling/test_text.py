from __future__ import annotations

from tests.delivery.compiling.emails import FOOTER, compiled, loaded, rendered

ENDING = (
    "\n\nYou receive this email because you subscribed to Acme.\nAcme\nStreet 1\n1000 Lisbon\n\n"
    "Unsubscribe: https://mail.example/u/MANAGE\nEmail preferences: https://mail.example/p/MANAGE\n"
)


def text_of(html: str, **person: object) -> str:
    """Derive a text part, without the footer."""
    text = rendered(html, person or None).text
    assert text.endswith(ENDING)
    return text.removesuffix(ENDING)


def test_the_text_has_words_addresses_and_list_items_and_no_markup() -> None:
    text = text_of(
        '<style>p{color:red}</style><p>Caf&eacute; <a href="https://example.com/x">here</a></p><ul><li>a<li>b</ul>'
    )

    assert text == "Café here: https://mail.example/c/TRACK/1\n\n- a\n- b"


def test_whitespace_and_blocks_become_lines() -> None:
    html = (
        "<h1> A  title </h1>\n<div>one<br>two</div><div>three</div><p>four\n five</p><hr><p>six</p>"
        "<!-- no --><div style='display: none'>hidden</div><p hidden>too</p>"
    )

    assert text_of(html) == "A title\n\none\ntwo\nthree\n\nfour five\n\n---\n\nsix"


def test_layout_cells_are_lines_and_data_cells_columns() -> None:
    row = "<tr><td>a</td><td>b</td></tr>"

    assert text_of(f'<table role="presentation">{row}</table><table>{row}{row}</table>') == "a\nb\n\na b\na b"


def test_loops_and_conditions_work_in_the_text() -> None:
    html = (
        "<p>For you:</p><ul>{% for i in interests %}<li>{{ i | upcase }}</li>{% endfor %}</ul>"
        "{% if plan == 'gold' %}<p>Gold</p>{% else %}<p>Other</p>{% endif %}<p>Bye {% if vip %}sir{% else %}friend{% endif %}.</p>"
    )

    assert text_of(html) == "For you:\n\n- ART\n- <SEA>\n\nGold\n\nBye friend."
    assert text_of(html, attributes={"vip": True}) == "For you:\n\n\nOther\n\nBye sir."


def test_links_in_the_text_lead_where_the_buttons_lead() -> None:
    html = (
        '<a href="https://a.example/{{ code }}"><img src="https://x/y.png" alt="Shop"></a> <a href="{{ attributes.logo }}">logo</a> '
        '<a href="mailto:a@example.com">a@example.com</a> <a href="tel:+491">call</a> <a href="#top">up</a> '
        '<a href="https://b.example"></a>'
    )

    assert text_of(html, attributes={"code": "1", "logo": "https://l.example/?a=1&b=2"}) == (
        "Shop: https://mail.example/c/TRACK/1/MQ.mac-TRACK-1-1 logo: https://l.example/?a=1&b=2 a@example.com call: +491 up "
        "https://mail.example/c/TRACK/2"
    )


def test_a_given_text_is_kept_and_gets_what_is_missing() -> None:
    text = rendered(text="Hi {{ first_name }} <b>\n{{ unsubscribe_url }}").text

    assert text == (
        "Hi Ada <b>\nhttps://mail.example/u/MANAGE\n\nYou receive this email because you subscribed to Acme.\nAcme\n"
        "Street 1\n1000 Lisbon\n\nEmail preferences: https://mail.example/p/MANAGE\n"
    )


def test_a_complete_footer_of_the_author_stays_the_only_one() -> None:
    html = '<p>{{ organization.postal_address }} <a href="{{ unsubscribe_url }}">leave</a> <a href="{{ preferences_url }}">p</a></p>'
    program = loaded(compiled(html))

    assert "You receive" not in program.ses_html + program.ses_text
    assert program.ses_html.count("/u/") == 1
    assert rendered(html).text == (
        "Street 1 1000 Lisbon leave: https://mail.example/u/MANAGE p: https://mail.example/p/MANAGE\n"
    )


def test_an_address_written_out_counts_and_one_in_a_condition_does_not() -> None:
    written = loaded(compiled("<p>Street 1,<br> no: Street 1<br>1000 Lisbon</p>")).ses_html
    conditional = loaded(
        compiled('{% if vip %}<a href="{{ unsubscribe_url }}">x</a>{{ organization.postal_address }}{% endif %}')
    ).ses_html

    assert "You receive" not in written
    assert ">Unsubscribe</a>" in written
    assert "You receive" in conditional
    assert ">Unsubscribe</a>" in conditional


def test_the_footer_speaks_the_organizations_language() -> None:
    footer = type(FOOTER)("Акме <и Ко>", "ул. 1", "ru-RU")
    email = rendered(footer=footer)

    assert ">Отписаться</a>" in email.html
    assert "подписались на рассылку Акме &lt;и Ко&gt;." in email.html
    assert "Настройки рассылки: https://mail.example/p/MANAGE" in email.text
