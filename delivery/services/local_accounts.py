"""Accounts at Local SES, which stands for Amazon in the demo and in tests."""

from __future__ import annotations

from urllib.parse import urlsplit

from delivery.models import SendingAccount
from delivery.providers.ses.sns import SnsTopics
from delivery.services.accounts import EVENT_TYPES, EVENTS_PATH, add_sender, check_account, create_account
from delivery.services.event_points import events_endpoint
from delivery.services.providers import administration_for, topics_for
from organizations.models import Organization


def set_up_local_account(*, organization: Organization, name: str = "Local SES") -> SendingAccount:
    """Make Local SES ready for an organization: sender, configuration set, topic, subscription.

    Idempotent. Where PUBLIC_URL has changed, events come to the new address alone.
    """
    account = SendingAccount.objects.for_organization(organization).filter(is_local=True).first()
    if account is None:
        account = create_account(organization=organization, actor=None, name=name, is_local=True)
        account.pilot_wait_seconds = 5
        account.pilot_size = 500
    administration = administration_for(account)
    topics = topics_for(account)
    account.configuration_set = f"amazonsender-{organization.pk}"
    administration.create_configuration_set(account.configuration_set)
    topic = topics.create_topic(f"amazonsender-{organization.pk}")
    # Believed before it is subscribed: the confirmation comes at once.
    account.topic_arns = sorted({*account.topic_arns, topic})
    account.save(update_fields=["configuration_set", "topic_arns", "pilot_wait_seconds", "pilot_size"])
    _subscribe_here_alone(topics, topic)
    administration.create_event_destination(account.configuration_set, topic, EVENT_TYPES)
    if organization.sender_email:
        add_sender(account=account, organization=organization, actor=None, identity=organization.sender_email)
    check_account(account=account)
    return account


def _subscribe_here_alone(topics: SnsTopics, topic: str) -> None:
    """Have a topic of Local SES's told to us, and no longer to the address that we had before."""
    endpoint = events_endpoint()
    topics.subscribe(topic, urlsplit(endpoint).scheme, endpoint)
    for subscription, known in topics.list_subscriptions(topic).items():
        if known != endpoint and known.endswith(EVENTS_PATH):
            topics.unsubscribe(subscription)
