"""What the events' benchmark works on: a sent mailout, and what providers and readers say about it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from delivery.models import EventType, Mailout
from delivery.services.events.ledger import open_cursor
from delivery.services.events.readers import write_act
from delivery.services.partitions import MAILOUTS_PER_MONTH, ensure_partitions, month_number
from organizations.models import Organization
from tests.delivery.events.notifications import envelope, event

# Where people's mailboxes are: most of them with a few providers.
BIG_DOMAINS = 10
BIG_SHARE = 0.7
PEOPLE_PER_SMALL_DOMAIN = 50
BROWSER = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36"
)


def domain_number(n: int) -> int:
    """1 to 10 for seven people of ten, else a domain of fifty people."""
    if n % 10 < BIG_SHARE * 10:
        return 1 + n % BIG_DOMAINS
    return 1 + BIG_DOMAINS + n // PEOPLE_PER_SMALL_DOMAIN


def address(n: int) -> str:
    return f"p{n}@d{domain_number(n)}.example.com"


def make_ledger(people: int) -> int:
    """One mailout to `people` subscribers, all sent. Returns its id."""
    call_command("migrate", verbosity=0)
    ensure_partitions(at=timezone.now())
    organization = Organization.objects.create(name="Bench")
    mailout = Mailout.objects.create(
        id=month_number(timezone.now()) * MAILOUTS_PER_MONTH + 1,
        organization=organization,
        kind="campaign",
        lane=2,
        name="Bench",
        idempotency_key="bench",
        sender="Bench <bench@example.com>",
        frozen_at=timezone.now(),
    )
    with open_cursor() as cursor:
        cursor.execute(
            "INSERT INTO subscribers_domain (name) SELECT 'd' || g || '.example.com' FROM generate_series(1, %s::int) g",
            [2 + BIG_DOMAINS + people // PEOPLE_PER_SMALL_DOMAIN],
        )
        now = timezone.now()
        with cursor.copy(
            "COPY subscribers_subscriber (organization_id, email, address_key, domain_id, first_name, last_name, locale,"
            " time_zone, attributes, tags, status, is_sample, created_at, updated_at) FROM STDIN"
        ) as copy:
            for n in range(1, people + 1):
                to = address(n)
                row = (organization.pk, to, to, domain_number(n), "", "", "", "", "{}", "{}", "active", False, now, now)
                copy.write_row(row)
        cursor.execute(
            """
            INSERT INTO delivery_message (mailout_id, n, subscriber_id, domain_id, state, sent_at, provider_id, address_hash)
            SELECT %s, row_number() OVER (ORDER BY id), id, domain_id, 1, now(), 'ses-' || id, hashtext(address_key)
              FROM subscribers_subscriber ORDER BY id
            """,
            [mailout.pk],
        )
        cursor.execute("VACUUM ANALYZE")
    return mailout.pk


def make_events(mailout_id: int, people: int, count: int, *, seed: int = 1) -> list[tuple[str, bytes]]:
    """Deliveries, opens, clicks and a bounce in a hundred, in random order."""
    rng = random.Random(seed)
    start = datetime.now(UTC).replace(microsecond=0)
    made: list[tuple[str, bytes]] = []
    for _ in range(count):
        n = rng.randint(1, people)
        to = address(n)
        at = start + timedelta(milliseconds=rng.randint(0, 3_600_000))
        kind = rng.random()
        if kind < 0.25:
            act = write_act(
                type_=EventType.OPENED, mailout_id=mailout_id, n=n, at=at, ip="198.51.100.0", user_agent=BROWSER
            )
            made.append(("reader", act))
        elif kind < 0.30:
            link_no = rng.randint(1, 20)
            act = write_act(
                type_=EventType.CLICKED,
                mailout_id=mailout_id,
                n=n,
                at=at,
                ip="198.51.100.0",
                user_agent=BROWSER,
                link_no=link_no,
            )
            made.append(("reader", act))
        else:
            name = "bounce" if kind < 0.31 else "delivery"
            document = event(name, mailout_id=mailout_id, n=n, to=to, body={"timestamp": at.isoformat()})
            made.append(("ses", envelope(document)))
    return made


def fill_inbox(events: list[tuple[str, bytes]]) -> None:
    """Store messages as the doors would, without asking whether they were seen."""
    with open_cursor().copy("COPY delivery_inbox (source, body) FROM STDIN WITH (FORMAT binary)") as copy:
        copy.set_types(["varchar", "bytea"])
        for row in events:
            copy.write_row(row)


def checkpoint() -> int:
    """Write everything out before the clock starts; return the backend's process id."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE delivery_inbox")
        cursor.execute("CHECKPOINT")
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])
