from __future__ import annotations

from email import message_from_string, policy
from email.header import decode_header, make_header
from email.utils import getaddresses

import pytest

from delivery.compiling.headers import encoded_words, header_value, list_unsubscribe, mailbox


@pytest.mark.parametrize(
    "name",
    [
        "Ada, Lovelace",
        "Žofie, s.r.o.",
        'Bob "B" O\'Neil',
        "a@b.example (news)",
        "刘瑞",
        "back\\slash",
        "=?utf-8?q?trick?=",
        "x" * 120,
        "Ж" * 120,
        "Plain Name",
    ],
)
def test_a_mailbox_parses_back_to_exactly_one_with_that_name(name: str) -> None:
    written = mailbox(name, "a@example.com")

    assert written.isascii()
    assert "\n" not in written
    assert written.endswith("<a@example.com>")
    parsed = getaddresses([written])
    assert len(parsed) == 1
    phrase, address = parsed[0]
    assert address == "a@example.com"
    assert (phrase if phrase == name else str(make_header(decode_header(phrase)))) == name
    modern = message_from_string(f"From: {written}\n\n", policy=policy.default)["From"].addresses
    assert len(modern) == 1


def test_only_the_phrase_is_encoded() -> None:
    assert mailbox("刘瑞", "a@example.com") == "=?utf-8?b?5YiY55Ge?= <a@example.com>"


def test_a_mailbox_without_a_name_is_the_address() -> None:
    assert mailbox(" \r\n", "a@example.com") == "a@example.com"


def test_a_line_end_in_a_name_starts_no_header() -> None:
    assert mailbox("A\r\nBcc: x@example.com", "a@example.com") == '"A Bcc: x@example.com" <a@example.com>'
    assert header_value("one\r\n two\x00\n") == "one two"


def test_a_domain_is_written_in_punycode() -> None:
    assert mailbox("", "post@пример.example") == "post@xn--e1afmkfd.example"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a",
        "a@",
        "@b.example",
        "a b@c.example",
        "a@b.example\nBcc: c@d.example",
        "a@b.example, c",
        "ж@b.example",
        "a<b@c.example",
        "a@b..ж",
        "a@b.example>",
    ],
)
def test_an_address_that_would_break_the_header_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="Not a"):
        mailbox("A", address)


def test_encoded_words_are_short_and_never_cut_a_character() -> None:
    words = encoded_words("Ж€𐍈" * 40).split(" ")

    assert all(len(word) <= 75 for word in words)
    assert str(make_header(decode_header(" ".join(words)))) == "Ж€𐍈" * 40


def test_list_unsubscribe_keeps_a_long_address_unbroken() -> None:
    url = "https://mail.example/u/" + "x" * 250

    value = list_unsubscribe(url, "leave@example.com?subject=abc")

    assert value == f"<{url}>, <mailto:leave@example.com?subject=abc>"
    assert list_unsubscribe(url) == f"<{url}>"


@pytest.mark.parametrize("url", ["https://a.example/\r\nX: y", "https://a.example/ж", "https://a.example/>,<https://b"])
def test_list_unsubscribe_refuses_what_is_no_plain_address(url: str) -> None:
    with pytest.raises(ValueError, match="List-Unsubscribe"):
        list_unsubscribe(url)
