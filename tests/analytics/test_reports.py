from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from analytics.selectors.reports import Tally, read_report, read_tallies
from delivery.compiling import EmailSource
from delivery.models import EventType, Mailout, MailoutEmail
from delivery.services.compiling import compile_and_store
from delivery.services.events import process_inbox, store_reader_act
from organizations.models import Organization
from tests.delivery.events.mailouts import add_batch, add_message, make_mailout, make_subscriber
from tests.delivery.events.notifications import deliver, event
from tests.delivery.reader.conftest import BROWSER

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
HTML = '<p><a href="https://acme.example/a">First</a> <a href="https://acme.example/b">Second</a></p>'


@pytest.fixture
def letter(acme: Organization) -> Mailout:
    """Ten people at two domains; the last two bounced, the others were delivered."""
    mailout = make_mailout(acme, candidates=10, eligible=10)
    compiled = compile_and_store(organization=acme, source=EmailSource(subject="Letter", html=HTML))
    MailoutEmail.objects.create(mailout_id=mailout.pk, email_no=0, compiled_email=compiled)
    for n in range(1, 11):
        email = f"p{n}@{'one' if n <= 7 else 'two'}.example"
        add_message(mailout, n, make_subscriber(acme, email))
        deliver(event("bounce" if n > 8 else "delivery", mailout_id=mailout.pk, n=n, to=email))
    add_batch(mailout, 1, 11, sent=10)
    return mailout


def act(
    mailout: Mailout, type_: EventType, n: int, minutes: int, link_no: int | None = None, agent: str = BROWSER
) -> None:
    at = NOON + timedelta(minutes=minutes)
    store_reader_act(
        type_=type_, mailout_id=mailout.pk, n=n, at=at, ip="198.51.100.0", user_agent=agent, link_no=link_no
    )


def test_a_person_who_opens_twenty_five_times_is_one_of_eight_delivered(letter: Mailout) -> None:
    for minute in range(25):
        act(letter, EventType.OPENED, 1, minute)
    act(letter, EventType.OPENED, 2, 0, agent="Mozilla/5.0")
    process_inbox()

    report = read_report(letter)

    assert (report.sent, report.tally.delivered, report.tally.bounced) == (10, 8, 2)
    assert (report.tally.opened, report.tally.opens, report.tally.machine_opened) == (1, 26, 1)
    assert report.tally.open_rate == 0.125
    assert report.bounce_rate == 0.2
    assert report.waiting_for_news == 0


def test_opens_and_clicks_over_several_links_do_not_multiply(letter: Mailout) -> None:
    act(letter, EventType.OPENED, 1, 0)
    act(letter, EventType.OPENED, 2, 0)
    for n, minute, link_no in [(1, 1, 1), (1, 70, 2), (2, 2, 1), (2, 80, 1)]:
        act(letter, EventType.CLICKED, n, minute, link_no)
    process_inbox()

    report = read_report(letter)

    assert (report.tally.opened, report.tally.clicked, report.tally.opens, report.tally.clicks) == (2, 2, 2, 4)
    assert [(link.label, link.url, link.clicks, link.clicked) for link in report.by_link] == [
        ("First", "https://acme.example/a", 3, 2),
        ("Second", "https://acme.example/b", 1, 1),
    ]
    assert report.tally.click_rate == 0.25
    assert report.by_email == {0: report.tally}


def test_hours_and_domains_add_up_to_the_whole(letter: Mailout) -> None:
    act(letter, EventType.OPENED, 1, 0)
    act(letter, EventType.OPENED, 8, 90)
    process_inbox()

    report = read_report(letter)

    assert [(row.hour.hour, row.tally.delivered, row.tally.opened) for row in report.by_hour] == [
        (10, 8, 0),
        (12, 0, 1),
        (13, 0, 1),
    ]
    assert [(row.domain, row.tally.delivered, row.tally.bounced, row.tally.opened) for row in report.by_domain] == [
        ("one.example", 7, 0, 1),
        ("two.example", 1, 2, 1),
    ]


def test_the_smallest_domains_are_summed_up(letter: Mailout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analytics.selectors.reports.TOP_DOMAINS", 1)

    assert [(row.domain, row.tally.delivered) for row in read_report(letter).by_domain] == [("one.example", 7), ("", 1)]


def test_nobody_yet_is_a_dash_and_no_error(acme: Organization) -> None:
    report = read_report(make_mailout(acme))

    assert (report.sent, report.tally) == (0, Tally())
    assert (report.tally.open_rate, report.bounce_rate, report.tally.complaint_rate) == (None, None, None)
    assert [*report.by_hour, *report.by_domain, *report.by_link] == []


def test_tallies_of_several_mailouts_take_one_query(
    letter: Mailout, acme: Organization, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    empty = make_mailout(acme)

    with django_assert_num_queries(1):
        tallies = read_tallies([letter.pk, empty.pk])

    assert (tallies[letter.pk].delivered, tallies[empty.pk]) == (8, Tally())


def test_delays_change_no_number_and_leaving_has_a_rate(letter: Mailout) -> None:
    deliver(event("delivery_delay", mailout_id=letter.pk, n=1, to="p1@one.example"))
    act(letter, EventType.UNSUBSCRIBED, 1, 0)
    process_inbox()

    tally = read_report(letter).tally

    assert (tally.unsubscribed, tally.unsubscribe_rate, tally.complaint_rate) == (1, 0.125, 0.0)
    assert (tally.delivered, tally.bounced, tally.soft_bounced) == (8, 2, 0)
