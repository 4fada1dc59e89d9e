"""Three mailouts that were sent to the same people; each way brings the events of one. Imported after Django is set up."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from campaigns.models import Campaign
from delivery.models import BatchState, Mailout, MailoutState, MessageBatch, SendingAccount
from delivery.services.events.ledger import open_cursor
from delivery.services.partitions import MAILOUTS_PER_MONTH, ensure_partitions, month_number
from organizations.models import Organization
from tests.intake.senders import STREAM, TOPIC
from tests.intake.stream import address, domain_number
from tests.webhooks.queues import QUEUE_ARN

WAYS = ("sns", "queue", "firehose")


def mailout_id_of(way: str) -> int:
    return month_number(timezone.now()) * MAILOUTS_PER_MONTH + 1 + WAYS.index(way)


@transaction.atomic
def make_scene(people: dict[str, int]) -> None:
    """An organization, its account, and per way a finished mailout of a campaign to so many people."""
    ensure_partitions(at=timezone.now())
    organization = Organization.objects.create(name="Attacked")
    SendingAccount.objects.create(
        organization=organization, name="Events", is_local=True, topic_arns=[TOPIC, STREAM, QUEUE_ARN]
    )
    _make_people(organization, max(people.values()))
    for way, count in people.items():
        _make_mailout(organization, way, count)


def _make_people(organization: Organization, count: int) -> None:
    now = timezone.now()
    with open_cursor() as cursor:
        cursor.execute(
            "INSERT INTO subscribers_domain (id, name) SELECT g, 'd' || g || '.example.com' FROM generate_series(1, 40) g"
        )
        with cursor.copy(
            "COPY subscribers_subscriber (id, organization_id, email, address_key, domain_id, first_name, last_name, locale,"
            " time_zone, attributes, tags, status, is_sample, created_at, updated_at) FROM STDIN"
        ) as copy:
            for n in range(1, count + 1):
                to, domain = address(n), domain_number(n)
                row = (n, organization.pk, to, to, domain, "", "", "", "", "{}", "{}", "active", False, now, now)
                copy.write_row(row)


def _make_mailout(organization: Organization, way: str, people: int) -> None:
    now = timezone.now()
    mailout = Mailout.objects.create(
        id=mailout_id_of(way),
        organization=organization,
        kind="campaign",
        lane=2,
        name=way,
        idempotency_key=way,
        sender="News <news@attacked.example>",
        state=MailoutState.FINISHED,
        candidates=people,
        eligible=people,
        frozen_at=now,
        finished_at=now,
        is_account_stale=True,  # so that it is counted before the first event
    )
    Campaign.objects.create(organization=organization, name=way, mailout=mailout, state="sent")
    MessageBatch.objects.create(
        mailout_id=mailout.pk,
        lo=1,
        hi=people + 1,
        armed_to=people + 1,
        sent=people,
        account_id=0,
        organization_id=organization.pk,
        lane=2,
        email_no=0,
        state=BatchState.DONE,
        due_at=now,
    )
    with open_cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO delivery_message (mailout_id, n, subscriber_id, domain_id, state, sent_at, provider_id, address_hash)
            SELECT %(id)s, id, id, domain_id, 1, now(), 'ses-' || %(id)s || '-' || id, hashtext(address_key)
              FROM subscribers_subscriber WHERE id <= %(people)s ORDER BY id
            """,
            {"id": mailout.pk, "people": people},
        )
