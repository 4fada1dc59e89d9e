"""Whatever the order, the batches and the repeats: the tables end up the same."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from delivery.models import EventType, Mailout, MessageState
from delivery.services.events import process_inbox, store_reader_act
from organizations.models import Organization
from tests.delivery.events.mailouts import add_batch, add_message, make_mailout, make_subscriber
from tests.delivery.events.notifications import event, store

pytestmark = pytest.mark.django_db

PEOPLE = 6
BROWSER = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36"
)
START = datetime(2026, 11, 3, 9, 59, 30, tzinfo=UTC)

TABLES = {
    "delivery_event": "n, type, at, disc, link_no, verdict, detail::text",
    "delivery_message": (
        "n, state, sent_at, delivered_at, bounced_at, complained_at, unsubscribed_at, opened_at, opened_human_at,"
        " clicked_at, clicked_human_at, provider_id, error"
    ),
    "delivery_message_batch": "sent, failed, unknown",
    "delivery_stat_email": "email_no, type, total, uniq, uniq_human",
    "delivery_stat_hour": "hour, type, total, uniq, uniq_human",
    "delivery_stat_domain": "domain_id, type, total, uniq, uniq_human",
    "delivery_stat_link": "email_no, link_no, total, uniq, uniq_human",
    "subscribers_suppression": "address_key, scope, reason",
    "subscribers_engagement": "delivered, opened, clicked, soft_bounces, last_delivered_at",
    "subscribers_subscriber": "address_key, status",
}


def picture() -> dict[str, list[Any]]:
    found = {}
    with connection.cursor() as cursor:
        for table, columns in TABLES.items():
            cursor.execute(f"SELECT {columns} FROM {table} ORDER BY {columns}")
            found[table] = cursor.fetchall()
    return found


def story(rng: random.Random, mailout: Mailout) -> list[Any]:
    """A wild life for every message: provider documents, and readers' acts as tuples."""
    acts: list[Any] = []
    for n in range(1, PEOPLE + 1):
        names = [
            "send",
            "delivery",
            "bounce",
            "bounce_soft",
            "complaint",
            "delivery_delay",
            "rendering_failure",
            "open",
        ]
        for name in rng.sample(names, rng.randint(1, 5)):
            moment = START + timedelta(seconds=rng.randint(0, 7200))
            body = {} if name in ("send", "rendering_failure") else {"timestamp": moment.isoformat()}
            acts.append(event(name, mailout_id=mailout.pk, n=n, to=f"p{n}@example.com", body=body))
        for _ in range(rng.randint(0, 3)):
            clicks = rng.choice([1, 1, 2, 9])  # nine at once: a scanner
            at = START + timedelta(seconds=rng.randint(0, 7200))
            acts += [(EventType.CLICKED, n, at + timedelta(seconds=k // 4), k + 1) for k in range(clicks)]
            acts.append((EventType.OPENED, n, at, None))
    return acts


def play(mailout: Mailout, acts: list[Any], batch: int) -> None:
    for start in range(0, len(acts), batch):
        for act in acts[start : start + batch]:
            if isinstance(act, tuple):
                type_, n, at, link_no = act
                store_reader_act(
                    type_=type_,
                    mailout_id=mailout.pk,
                    n=n,
                    at=at,
                    ip="198.51.100.0",
                    user_agent=BROWSER,
                    link_no=link_no,
                )
            else:
                store(act)
        while process_inbox():
            pass


@pytest.mark.parametrize("seed", range(8))
def test_shuffled_and_repeated_events_give_identical_tables(acme: Organization, seed: int) -> None:
    rng = random.Random(seed)
    mailout = make_mailout(acme)
    people = [make_subscriber(acme, f"p{n}@example.com") for n in range(1, PEOPLE + 1)]
    states = [rng.choice([MessageState.SENT, MessageState.SENT, MessageState.UNKNOWN]) for _ in people]
    acts = story(rng, mailout)
    pictures = []

    for round_number in range(3):
        reset(mailout)
        for n, (person, state) in enumerate(zip(people, states, strict=True), start=1):
            add_message(mailout, n, person, state=state)
        unknown = states.count(MessageState.UNKNOWN)
        add_batch(mailout, 1, PEOPLE + 1, sent=PEOPLE - unknown, unknown=unknown)
        # Unknown messages are settled by the provider first: what a reader did tells no time of acceptance.
        order = acts + (rng.sample(acts, len(acts)) if round_number else [])
        if round_number:
            rng.shuffle(order)
        order.sort(key=lambda act: isinstance(act, tuple) and states[act[1] - 1] == MessageState.UNKNOWN)
        play(mailout, order, batch=rng.choice([1, 3, 7, 1000]))
        pictures.append(picture())

    assert pictures[0]["delivery_event"]
    assert json.dumps(pictures[1], default=str) == json.dumps(pictures[0], default=str)
    assert pictures[2] == pictures[0]


def test_roll_ups_equal_a_recount_of_the_rows(acme: Organization) -> None:
    mailout = make_mailout(acme)
    for n in range(1, PEOPLE + 1):
        add_message(mailout, n, make_subscriber(acme, f"p{n}@example.com"))
    play(mailout, story(random.Random(99), mailout), batch=5)

    with connection.cursor() as cursor:
        cursor.execute("SELECT type, count(*) FROM delivery_event GROUP BY type ORDER BY type")
        totals = dict(cursor.fetchall())
        cursor.execute(
            "SELECT count(opened_at), count(opened_human_at), count(clicked_at), count(clicked_human_at),"
            " count(delivered_at) FILTER (WHERE bounced_at IS NULL), count(bounced_at), count(complained_at)"
            " FROM delivery_message"
        )
        opened, opened_human, clicked, clicked_human, delivered, bounced, complained = cursor.fetchone()
        for table in ("delivery_stat_email", "delivery_stat_hour", "delivery_stat_domain"):
            cursor.execute(f"SELECT type, sum(total), sum(uniq), sum(uniq_human) FROM {table} GROUP BY type")
            sums = {row[0]: row[1:] for row in cursor.fetchall()}
            assert {type_: row[0] for type_, row in sums.items()} == totals
            expected = {
                EventType.OPENED: (opened, opened_human),
                EventType.CLICKED: (clicked, clicked_human),
                EventType.DELIVERED: (delivered, 0),
                EventType.BOUNCED: (bounced, 0),
                EventType.COMPLAINED: (complained, 0),
            }
            assert {type_: row[1:] for type_, row in sums.items() if type_ in expected} == {
                type_: numbers for type_, numbers in expected.items() if type_ in sums
            }


def reset(mailout: Mailout) -> None:
    with connection.cursor() as cursor:
        for table in [*TABLES, "delivery_inbox_seen"]:
            if table == "subscribers_subscriber":
                cursor.execute("UPDATE subscribers_subscriber SET status = 'active', opted_out_at = NULL")
            else:
                cursor.execute(f"DELETE FROM {table}")
