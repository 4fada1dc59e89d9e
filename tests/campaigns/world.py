"""What a campaign needs around it."""

from __future__ import annotations

from datetime import UTC, datetime

from campaigns.models import Campaign
from delivery.models import AccountPace, SenderIdentity, SendingAccount
from organizations.models import Organization, User
from subscribers.models import Domain, List, Subscriber, Subscription, SubscriptionState
from tests.factories import repeat_person

FRAME = "<!doctype html>\n<html><head><title>T</title></head>\n<body><div>\n{{ content }}\n</div></body></html>"


def make_account(organization: Organization) -> SendingAccount:
    """An account with a verified sender, whose provider no test needs."""
    account = SendingAccount.objects.create(
        organization=organization, name="SES", is_local=True, max_send_rate=50, max_24_hour_send=10_000
    )
    now = datetime.now(UTC)
    AccountPace.objects.create(account=account, mail_tat=now, call_tat=now, max_rate=50, max_calls=50, day_limit=10_000)
    SenderIdentity.objects.create(
        organization=organization, account=account, identity=organization.sender_email, is_verified=True
    )
    return account


def make_list(organization: Organization, name: str, *, people: int) -> List:
    """A list with some subscribed people."""
    made = List.objects.create(organization=organization, name=name)
    address = name.lower().replace(" ", "-")
    if people:
        subscribe(made, f"{address}1@example.com", first_name="Reader1")
        repeat_person(made.subscriptions.get(), range(2, people + 1), address=address, first_name="Reader")
    return made


def subscribe(to: List, email: str, *, state: str = SubscriptionState.SUBSCRIBED, **fields: object) -> Subscriber:
    """A person on a list."""
    domain = Domain.objects.get_or_create(name=email.rpartition("@")[2])[0]
    person, _made = Subscriber.objects.get_or_create(
        organization=to.organization, address_key=email, defaults={"email": email, "domain": domain, **fields}
    )
    Subscription.objects.create(organization=to.organization, list=to, subscriber=person, state=state)
    return person


def make_campaign(
    organization: Organization, account: SendingAccount, newsletter: List, *, actor: User | None = None
) -> Campaign:
    """A draft that nothing stops."""
    campaign = Campaign.objects.create(
        organization=organization,
        name="Autumn letter",
        subject="Hello {{ first_name | default: 'reader' }}",
        body='<p>Hello {{ first_name | default: "reader" }}, <a href="https://acme.example/a">look</a>.</p>',
        sender_name="Acme Coffee",
        sender_email="hello@acme.example",
        account=account,
        created_by=actor,
        updated_by=actor,
    )
    campaign.lists.add(newsletter)
    return campaign
