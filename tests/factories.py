"""Rows for tests, each valid by itself and different from the last."""

# factory_boy's declarations carry no types; what `create` returns does.
# mypy: disable-error-code="attr-defined,no-untyped-call,untyped-decorator"

from __future__ import annotations

from typing import Any

import factory
from django.utils import timezone

from campaigns.models import Campaign
from delivery.models import AccountPace, Lane, Mailout, MailoutKind, SendingAccount
from delivery.services.mailouts import new_mailout_id
from organizations.models import Organization
from subscribers.models import Domain, List, Subscriber, Subscription, Suppression
from tests.databases import repeat_row


class OrganizationFactory(factory.django.DjangoModelFactory[Organization]):
    """May send at once: it has a postal address and a sender."""

    class Meta:
        model = Organization

    name = factory.Sequence(lambda number: f"Organization {number}")
    postal_address = "1 Main Street, Riga"
    sender_name = "News"
    sender_email = "news@example.com"


class DomainFactory(factory.django.DjangoModelFactory[Domain]):
    class Meta:
        model = Domain
        django_get_or_create = ("name",)

    name = "example.com"


class SubscriberFactory(factory.django.DjangoModelFactory[Subscriber]):
    class Meta:
        model = Subscriber

    organization = factory.SubFactory(OrganizationFactory)
    email = factory.Sequence(lambda number: f"person{number}@example.com")
    address_key = factory.LazyAttribute(lambda person: person.email.lower())
    domain = factory.LazyAttribute(lambda person: DomainFactory.create(name=person.address_key.rpartition("@")[2]))
    first_name = factory.Sequence(lambda number: f"Name {number}")


class ListFactory(factory.django.DjangoModelFactory[List]):
    class Meta:
        model = List

    organization = factory.SubFactory(OrganizationFactory)
    name = factory.Sequence(lambda number: f"List {number}")


class SubscriptionFactory(factory.django.DjangoModelFactory[Subscription]):
    """A person on a list of their organization."""

    class Meta:
        model = Subscription

    subscriber = factory.SubFactory(SubscriberFactory)
    organization = factory.SelfAttribute("subscriber.organization")
    list = factory.LazyAttribute(lambda standing: ListFactory.create(organization=standing.organization))


class SuppressionFactory(factory.django.DjangoModelFactory[Suppression]):
    class Meta:
        model = Suppression

    organization = factory.SubFactory(OrganizationFactory)
    address_key = factory.Sequence(lambda number: f"suppressed{number}@example.com")


class AccountFactory(factory.django.DjangoModelFactory[SendingAccount]):
    """A sending account whose limiter lets everything through; `pace__…` sets the limiter's row."""

    class Meta:
        model = SendingAccount
        skip_postgeneration_save = True

    organization = factory.SubFactory(OrganizationFactory)
    name = "Test"
    is_local = True
    calls_in_flight = 4

    @factory.post_generation
    def pace(account: SendingAccount, create: bool, extracted: Any, **fields: Any) -> None:  # noqa: N805
        now = timezone.now()
        limits = {"max_rate": 100_000, "max_calls": 10_000, "day_limit": 10_000_000}
        AccountPace.objects.create(account=account, **({"mail_tat": now, "call_tat": now} | limits | fields))


class MailoutFactory(factory.django.DjangoModelFactory[Mailout]):
    """A mailout without messages: `launch_mailout` makes real ones."""

    class Meta:
        model = Mailout

    id = factory.LazyFunction(lambda: new_mailout_id(at=timezone.now()))
    organization = factory.SubFactory(OrganizationFactory)
    account = factory.LazyAttribute(lambda mailout: AccountFactory.create(organization=mailout.organization))
    kind = MailoutKind.CAMPAIGN
    lane = Lane.CAMPAIGN
    name = factory.Sequence(lambda number: f"Letter {number}")
    idempotency_key = factory.Sequence(lambda number: f"campaign:{number}")
    sender = "News <news@example.com>"
    frozen_at = factory.LazyFunction(timezone.now)


class CampaignFactory(factory.django.DjangoModelFactory[Campaign]):
    """A draft with content, a sender and no audience yet."""

    class Meta:
        model = Campaign

    organization = factory.SubFactory(OrganizationFactory)
    name = factory.Sequence(lambda number: f"Campaign {number}")
    subject = "Hello {{ first_name }}"
    body = "<html><body><p>Hi {{ first_name }}</p></body></html>"
    sender_name = "News"
    sender_email = "news@example.com"


def repeat_person(standing: Subscription, numbers: range, *, address: str, first_name: str) -> None:
    """Put more people on a list, like the one who stands there: "address" + number + "@example.com"."""
    person = standing.subscriber
    email = f"'{address}' || each || '@example.com'"
    repeat_row(
        person,
        f"generate_series({numbers.start}, {numbers.stop - 1}) each",
        email=email,
        address_key=email,
        first_name=f"'{first_name}' || each",
    )
    added = f"(SELECT id AS each FROM subscribers_subscriber WHERE id > {person.pk}) added"
    repeat_row(standing, added, subscriber_id="each")
