"""Messages built by joining, read back by the standard library."""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.providers.base import Entry, PermanentError
from delivery.providers.smtp.mime import build_message, encode_piece, prepare_mail, subject_line
from tests.delivery.providers.contract.bench import email, entry

DATE = "Wed, 25 Nov 2026 12:00:00 -0000"


def wire(outgoing: Any = None, person: Entry | None = None) -> bytes:
    return b"".join(build_message(prepare_mail(outgoing or email()), person or entry(), "c" * 32, DATE))


def read(raw: bytes) -> EmailMessage:
    unstuffed = re.sub(rb"(?m)^\.\.", b".", raw)
    message = message_from_bytes(unstuffed, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


# Text as it may stand in a mail: RFC 5322 has no bare control characters.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\0"))


@given(pieces=st.lists(TEXT, max_size=6))
def test_any_sequence_of_pieces_is_one_encoded_text_of_short_lines(pieces: list[str]) -> None:
    body = b"".join(map(encode_piece, pieces))

    raw = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + body
    content = read(raw).get_payload(decode=True)
    assert isinstance(content, bytes)
    assert content.replace(b"\r\n", b"\n").decode() == "".join(pieces)
    lines = body.split(b"\r\n")
    assert max(map(len, lines)) <= 77  # 76, and the dot that the wire takes off again
    assert all(not line.startswith(b".") or line.startswith(b"..") for line in lines)
    assert body == b"" or body.endswith(b"\r\n")


@pytest.mark.parametrize(
    "text", ["plain", ".dot", "..", "a=b", " ends with space ", "é" * 200, "x" * 5000, "a\r\nb\rc"]
)
def test_what_needs_care_is_encoded_alike(text: str) -> None:
    message = read(wire(email(html="", text="{{s0}}", subject="S"), entry(values={"s0": text})))

    expected = text.replace("\r\n", "\n").replace("\r", "\n")
    assert message.get_content().replace("\r\n", "\n").removesuffix("\n") == expected
    assert message.get_content_type() == "text/plain"


def test_an_email_has_its_headers_once_and_two_bodies() -> None:
    message = read(wire())

    assert message["From"] == "Acme News <news@acme.test>"
    assert message["To"] == "person1@example.com"
    assert message["Reply-To"] == "desk@acme.test"
    assert message["Date"] == DATE
    assert message["Message-ID"] == "<token-1_x@acme.test>"
    assert message["X-AmazonSender"] == f"m=token-1_x; c={'c' * 32}"
    assert message["MIME-Version"] == "1.0"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert len(message.keys()) == len({name.lower() for name in message})


def test_html_alone_is_no_multipart() -> None:
    message = read(wire(email(text="")))

    assert message.get_content_type() == "text/html"
    assert b"Reply-To" not in wire(email(reply_to=()))


def test_compiled_segments_are_used_where_the_email_has_them() -> None:
    segments = {"subject": ("Hi ", "s0", ""), "html": ("<p>{{s0}} ", "s0", "</p>"), "text": ("", "s0", "!")}

    message = read(wire(email(segments=segments), entry(values={"s0": "Bob"})))

    html, text = message.get_body(("html",)), message.get_body(("plain",))
    assert html is not None
    assert text is not None
    assert html.get_content().strip() == "<p>{{s0}} Bob</p>"
    assert text.get_content().strip() == "Bob!"
    assert message["Subject"] == "Hi Bob"


@pytest.mark.parametrize(
    ("subject", "line"),
    [
        ("Hello", "Subject: Hello\r\n"),
        ("a\r\nBcc: b@example.com", "Subject: a Bcc: b@example.com\r\n"),
        ("=?utf-8?q?trick?=", "Subject: =?utf-8?b?PT91dGYtOD9xP3RyaWNrPz0=?=\r\n"),
    ],
)
def test_a_subject_is_one_header(subject: str, line: str) -> None:
    assert subject_line(subject) == line


@pytest.mark.parametrize("subject", ["Žluťoučký kůň " * 10, "long " * 300])
def test_a_long_or_foreign_subject_is_folded_between_encoded_words(subject: str) -> None:
    line = subject_line(subject)

    assert max(map(len, line.split("\r\n"))) <= 86
    assert read(f"{line}\r\n".encode())["Subject"].strip() == subject.strip()


def test_a_missing_value_is_refused_wherever_it_lacks() -> None:
    for values in ({"s0": "x"}, {}):
        with pytest.raises(PermanentError, match="no value for the slot"):
            wire(person=entry(values=values))
