"""A list of many people, written by SQL: what the benchmarks of launching and sending start from."""

from __future__ import annotations

import orjson
from django.db import connection
from django.utils import timezone

from delivery.models import AccountPace, SendingAccount
from organizations.models import Organization
from subscribers.models import AttributeDefinition, Domain, List
from tests.benchmarks import newsletter

COPY = (
    "COPY subscribers_subscriber (organization_id, email, address_key, domain_id, first_name, last_name, locale, time_zone, attributes, tags,"
    " status, is_sample, created_at, updated_at) FROM STDIN"
)


def make_organization() -> Organization:
    organization = Organization.objects.create(
        name=newsletter.ORGANIZATION["name"],
        postal_address=newsletter.ORGANIZATION["postal_address"],
        website=newsletter.ORGANIZATION["website"],
        sender_email="news@northwind.example",
    )
    AttributeDefinition.objects.bulk_create(
        AttributeDefinition(organization=organization, key=key, type=str(kind))
        for key, kind in newsletter.SCHEMA.attributes.items()
    )
    return organization


def make_account(organization: Organization, *, calls_in_flight: int) -> SendingAccount:
    account = SendingAccount.objects.create(
        organization=organization, name="Stub", is_local=False, calls_in_flight=calls_in_flight, pilot_threshold=2**31 - 1,
        max_calls_per_second=1_000_000,
    )  # fmt: skip
    now = timezone.now()
    AccountPace.objects.create(
        account=account, mail_tat=now, call_tat=now, max_rate=1_000_000, max_calls=1_000_000, day_limit=2**53
    )
    return account


def make_people(organization: Organization, count: int, *, zones: tuple[str, ...] = ("Europe/Lisbon",)) -> List:
    """`count` readers of the benchmark's newsletter on one list, all subscribed; every 500th unsubscribed."""
    domain, _made = Domain.objects.get_or_create(name="example.com")
    chosen = List.objects.create(organization=organization, name=f"Readers {count}")
    now = timezone.now().isoformat()
    with connection.cursor() as cursor:
        with cursor.copy(COPY) as copy:
            for i in range(count):
                person = newsletter.person(i)
                status = "unsubscribed" if i % 500 == 499 else "active"
                copy.write_row(
                    (
                        organization.pk, person["email"], person["email"], domain.pk, person["first_name"], person["last_name"],
                        "en", zones[i % len(zones)], orjson.dumps(person["attributes"]).decode(), "{reader}", status, "f", now, now,
                    )
                )  # fmt: skip
        cursor.execute(
            "INSERT INTO subscribers_subscription (organization_id, list_id, subscriber_id, state, changed_at)"
            " SELECT organization_id, %s, id, 'subscribed', now() FROM subscribers_subscriber WHERE organization_id = %s ORDER BY id",
            [chosen.pk, organization.pk],
        )
        cursor.execute("ANALYZE subscribers_subscriber, subscribers_subscription")
    return chosen
