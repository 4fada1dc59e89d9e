"""What a person's page says about their mail."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import translation

from delivery.models import MessageState
from delivery.timeline import figures_of, mail_of
from organizations.models import Organization
from subscribers.models import Engagement, Subscriber
from subscribers.timeline import Figure, person_figures, person_timeline
from tests.delivery.events.mailouts import SENT_AT, add_message, make_mailout, make_subscriber

pytestmark = pytest.mark.django_db

LINES = {
    "delivered_at": ("Delivered", "ok"),
    "opened_human_at": ("Opened", "ok"),
    "clicked_human_at": ("Clicked", "ok"),
    "opened_at": ("Opened by a machine", "machine"),
    "bounced_at": ("Bounced", "stop"),
    "complained_at": ("Complained", "stop"),
    "unsubscribed_at": ("Unsubscribed", "warn"),
}


def later(minutes: int) -> datetime:
    return SENT_AT + timedelta(minutes=minutes)


@pytest.fixture
def ana(acme: Organization) -> Subscriber:
    return make_subscriber(acme, "Ana@example.com")


def test_a_message_that_went_out_is_a_line_with_its_address_and_a_link_to_it(
    acme: Organization, ana: Subscriber
) -> None:
    mailout = make_mailout(acme, name="Spring letter")
    add_message(mailout, 7, ana)

    (line,) = mail_of(ana, 10)

    assert (line.at, line.what, line.detail) == (SENT_AT, "Sent: “Spring letter”", "Ana@example.com")
    assert (line.tone, line.kind) == ("plain", "email")
    assert line.link == reverse("admin:message", args=[mailout.pk, 7])


def test_what_was_only_simulated_is_not_said_to_be_sent(acme: Organization, ana: Subscriber) -> None:
    add_message(make_mailout(acme, name="Spring letter"), 7, ana, state=MessageState.SIMULATED, sent_at=SENT_AT)

    (line,) = mail_of(ana, 10)

    assert line.what == "Simulated: “Spring letter”"


@pytest.mark.parametrize("fact", LINES)
def test_each_fact_is_a_line_at_its_time(acme: Organization, ana: Subscriber, fact: str) -> None:
    mailout = make_mailout(acme, name="Spring letter")
    facts: dict[str, Any] = {fact: later(5)}
    add_message(mailout, 1, ana, **facts)

    sent, line = mail_of(ana, 10)

    what, tone = LINES[fact]
    assert sent.at == SENT_AT
    assert (line.at, line.what, line.detail, line.tone, line.kind) == (later(5), what, "Spring letter", tone, "email")
    assert line.link == reverse("admin:message", args=[mailout.pk, 1])


def test_an_opening_by_a_machine_is_left_out_once_the_person_opened_it(acme: Organization, ana: Subscriber) -> None:
    add_message(make_mailout(acme), 1, ana, opened_at=later(1), opened_human_at=later(9))

    assert [(line.at, line.what) for line in mail_of(ana, 10)][1:] == [(later(9), "Opened")]


def test_what_never_went_out_leaves_no_line(acme: Organization, ana: Subscriber) -> None:
    add_message(make_mailout(acme), 1, ana, state=MessageState.EXCLUDED)

    assert list(mail_of(ana, 10)) == []


def test_the_newest_mailouts_come_first_up_to_the_limit_and_nobody_else_s(acme: Organization, ana: Subscriber) -> None:
    for name in ("First", "Second", "Third"):
        add_message(make_mailout(acme, name=name), 1, ana)
    ben = make_subscriber(acme, "ben@example.com")
    add_message(make_mailout(acme, name="Ben's"), 1, ben)

    assert [line.what for line in mail_of(ana, 2)] == ["Sent: “Third”", "Sent: “Second”"]


def test_a_person_s_page_has_their_mail_among_its_lines(acme: Organization, ana: Subscriber) -> None:
    add_message(make_mailout(acme, name="Spring letter"), 1, ana, delivered_at=later(1))

    lines = [line for line in person_timeline(ana) if line.kind == "email"]

    assert [line.what for line in lines] == ["Delivered", "Sent: “Spring letter”"]


def test_lines_are_in_the_reader_s_language(acme: Organization, ana: Subscriber) -> None:
    add_message(make_mailout(acme), 1, ana, bounced_at=later(1))

    with translation.override("ru"):
        russian = [line.what for line in mail_of(ana, 10)]

    assert len(russian) == 2
    assert "Bounced" not in russian


def test_figures_count_what_reached_opened_and_clicked(ana: Subscriber) -> None:
    Engagement.objects.update_or_create(
        subscriber=ana,
        defaults={"delivered": 12, "opened": 5, "clicked": 1, "last_delivered_at": datetime(2026, 11, 1, tzinfo=UTC)},
    )

    assert list(figures_of(ana)) == [Figure("emails delivered", 12), Figure("opened", 5), Figure("clicked", 1)]
    assert set(figures_of(ana)) <= set(person_figures(ana))


@pytest.mark.parametrize(("delivered", "label"), [(1, "email delivered"), (2, "emails delivered")])
def test_one_email_is_said_in_the_singular(ana: Subscriber, delivered: int, label: str) -> None:
    Engagement.objects.update_or_create(subscriber=ana, defaults={"delivered": delivered})

    assert next(iter(figures_of(ana))) == Figure(label, delivered)


def test_somebody_without_mail_has_figures_of_nought(ana: Subscriber) -> None:
    Engagement.objects.filter(subscriber=ana).delete()

    assert [figure.value for figure in figures_of(ana)] == [0, 0, 0]
