"""What the rivals get to send, and who counts what they sent by SMTP."""

from __future__ import annotations

import re
import smtplib
import socket
from collections.abc import Iterator

import pytest
from django.template import Context, Template

from tests.benchmarks import newsletter
from tests.benchmarks.audience import make_organization, make_people
from tests.benchmarks.rivals.figures import Killed, Speed, killed_table, speed_table
from tests.benchmarks.rivals.letters import django_letter, in_groups, readers, ses_letter
from tests.benchmarks.rivals.smtp_sink import SmtpSink


@pytest.fixture
def people(db: None) -> None:
    make_people(make_organization(), 520)


@pytest.mark.usefixtures("people")
def test_only_who_is_subscribed_is_read_in_groups() -> None:
    groups = list(in_groups(519, 50))

    assert [len(group) for group in groups] == [50] * 10 + [19]
    addresses = [reader.address for group in groups for reader in group]
    assert len(set(addresses)) == 519
    assert "reader499@example.com" not in addresses


@pytest.mark.usefixtures("people")
def test_djangos_letter_says_what_the_newsletter_says() -> None:
    letter = django_letter()
    gold = next(reader for reader in readers(10) if reader.values["is_gold"])
    context = Context(gold.values)

    subject, html, text = (Template(part).render(context) for part in letter)

    assert subject == f"{gold.values['first_name']}, ten people who take their time"
    for words in (
        gold.values["code"],
        gold.values["city"],
        gold.address,
        "Your gold seat",
        gold.values["unsubscribe_url"],
    ):
        assert words in html
    assert [f"<li>{interest}</li>" in html for interest in gold.values["interests"]].count(True) > 1
    assert "Members read" not in html
    assert gold.values["code"] in text
    assert "<" not in text
    assert not re.search(r"\{[{%]|[%}]\}", subject + html + text)


@pytest.mark.usefixtures("people")
def test_the_stored_letter_has_the_same_variables_and_a_value_for_each() -> None:
    letter = ses_letter()
    (reader,) = readers(1)

    names = set(re.findall(r"\{\{(\w+)\}\}", letter.html)) - {"else", "this"}

    assert len(re.findall("<a ", letter.html)) == len(re.findall("<a ", newsletter.newsletter().html))
    assert names == set(reader.values) - {"plan", "is_gold", "interests"}
    assert re.findall(r"\{\{[#/][^}]*\}\}", letter.html) == [
        "{{#if is_gold}}", "{{/if}}", "{{#each interests}}", "{{/each}}",
    ]  # fmt: skip
    assert "{%" not in letter.html
    assert letter.subject == "{{first_name}}, ten people who take their time"


@pytest.fixture
def sink() -> Iterator[SmtpSink]:
    with SmtpSink() as sink:
        yield sink


def test_the_sink_counts_people_repeats_and_bytes_but_nothing_that_was_cut_off(sink: SmtpSink) -> None:
    with smtplib.SMTP("127.0.0.1", sink.port) as client:
        for address in ("p1@example.com", "p2@example.com", "p1@example.com"):
            client.sendmail("news@acme.test", address, "Subject: News\r\n\r\n.News\r\n")
    with socket.create_connection(("127.0.0.1", sink.port)) as half:
        half.sendall(b"EHLO x\r\nMAIL FROM:<news@acme.test>\r\nRCPT TO:<p3@example.com>\r\nDATA\r\nSubject: Ne")

    stats = sink.stats()

    assert (stats["recipients"], stats["people"]) == (3, 2)
    assert stats["bytes"] == 3 * len("Subject: News\r\n\r\n..News\r\n")
    sink.reset()
    assert sink.stats()["recipients"] == 0


def test_the_tables_compare_with_ours() -> None:
    ours = Speed("Ours", 1000, 20_000.0, 20.0, 10.0, 2000.0)
    rival = Speed("Rival", 100, 400.0, 80.0, 10.0, 1000.0)

    assert speed_table(ours, [rival]).splitlines()[-1] == "| Rival | 100 | 400 | 80.0 | 10.0 | 1,000 | 3.0 × | 50.0 × |"
    killed = Killed("Rival", 100, 50, "running it again", 50, 0, 0)
    assert killed_table([killed]).splitlines()[-1] == "| Rival | 100 | 50 | running it again | 50 | 0 | 0 |"
