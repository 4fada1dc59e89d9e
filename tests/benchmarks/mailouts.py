"""A benchmark's mailout: launched, waited for, and its ledger compared with the stub's record.

To be imported after Django was set up.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import orjson
from django.db import connection

from delivery.compiling import Tokens
from delivery.models import CompiledEmail, Mailout, MailoutState, SendingAccount
from delivery.selectors.audience import Audience
from delivery.services.compiling import program_of
from delivery.services.launching import launch_mailout
from delivery.tokens import manage_token, track_token
from organizations.models import Organization
from subscribers.models import List
from tests.benchmarks import newsletter
from tests.benchmarks.harness import say
from tests.benchmarks.provider_stub import StubProcess
from tests.benchmarks.provider_stub.record import DIGEST_MODULUS, entry_digest

FINISH_SECONDS = 600


def launch(
    *, organization: Organization, account: SendingAccount, people: List, compiled: CompiledEmail, label: str
) -> Mailout:
    """Launch a mailout to everybody on the list; `label` is its name, used once."""
    return launch_mailout(
        organization=organization,
        account=account,
        name=label,
        idempotency_key=f"bench:{label}",
        emails=[compiled],
        audience=Audience((people.pk,)),
        sender=newsletter.SENDER,
    )


def wait(mailout: Mailout, log: Path) -> None:
    """Wait until it has finished; after ten minutes show the end of the workers' log and exit."""
    deadline = time.monotonic() + FINISH_SECONDS
    while time.monotonic() < deadline:
        mailout.refresh_from_db(fields=["state"])
        if mailout.state == MailoutState.FINISHED:
            return
        time.sleep(0.25)
    say(log.read_text()[-4000:])
    sys.exit(f"the mailout did not finish within {FINISH_SECONDS} s")


def verify(mailout: Mailout, compiled: CompiledEmail, stub: StubProcess, log: Path) -> tuple[int, float]:
    """Compare the stub's own record with the ledger; emails and seconds from first claim to last settled row.

    Exits when they differ.
    """
    stats = stub.stats()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FILTER (WHERE state = 1), count(*) FILTER (WHERE state NOT IN (1, 5)) FROM delivery_message WHERE mailout_id = %s",
            [mailout.pk],
        )
        sent, others = cursor.fetchone()
        cursor.execute(
            "SELECT EXTRACT(EPOCH FROM max(settled_at) - min(armed_at))::float8 FROM delivery_send_call WHERE mailout_id = %s",
            [mailout.pk],
        )
        (seconds,) = cursor.fetchone()
    expected = expected_digest(mailout.pk, compiled)
    problems = []
    if others or sent != stats["recipients"] or sent != stats["distinct"]:
        problems.append(
            f"ledger: {sent} sent, {others} others; provider: {stats['recipients']} recipients, {stats['distinct']} distinct"
        )
    if stats["values_digest"] != expected:
        problems.append(f"rendered values differ: {stats['values_digest']} at the provider, {expected} expected")
    if stats["bad_signatures"] or stats["malformed"]:
        problems.append(f"{stats['bad_signatures']} bad signatures, {stats['malformed']} malformed calls")
    if problems:
        say(log.read_text()[-4000:])
        sys.exit("FAILED: " + "; ".join(problems))
    return sent, seconds


def checkpoint() -> None:
    """Make PostgreSQL write out what it still owes, so that its cost is counted where it arose."""
    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT")


def expected_digest(mailout_id: int, compiled: CompiledEmail) -> int:
    """Digest of what everybody should have got, computed apart from the engine; see the stub's record."""
    program = program_of(compiled)
    total = 0
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT m.n, m.subscriber_id, m.list_id, s.email, s.first_name, s.last_name, s.locale, s.time_zone, s.attributes::text, s.tags"
            " FROM delivery_message m JOIN subscribers_subscriber s ON s.id = m.subscriber_id WHERE m.mailout_id = %s AND m.state = 1",
            [mailout_id],
        )
        for n, subscriber_id, list_id, email, first, last, locale, zone, attributes, tags in cursor.fetchall():
            person = {
                "email": email, "first_name": first, "last_name": last, "locale": locale, "time_zone": zone,
                "attributes": orjson.loads(attributes), "tags": tags,
            }  # fmt: skip
            values = program.values(person, Tokens(track_token(mailout_id, n), manage_token(subscriber_id, list_id)))
            total += entry_digest(email, orjson.dumps(values).decode())
    return total % DIGEST_MODULUS
