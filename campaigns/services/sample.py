"""Putting the sample into an organization: set-based and repeatable, so that a second run changes nothing."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from campaigns.models import Campaign, ContentFormat
from campaigns.sample.people import FAVOURITES, Person
from campaigns.services.compose import create_campaign, save_campaign
from campaigns.services.templates import ensure_starters
from organizations.models import Organization, User
from subscribers.addresses import canonical
from subscribers.models import AttributeDefinition, AttributeType, List

SENDER_EMAIL = "hello@lumen.example"
CAMPAIGN_NAME = "Meet the new roastery"
CONSENT_TEXT = "I want the Lumen Coffee newsletter, about twice a month."

STAGE = """
CREATE TEMPORARY TABLE sample_stage (
    email text, address_key text, domain text, first_name text, last_name text, locale text, time_zone text,
    attributes jsonb, tags text[], fate text, is_loyal boolean, wants_news boolean, is_wholesale boolean
) ON COMMIT DROP
"""
DOMAINS = """
INSERT INTO subscribers_domain (name) SELECT DISTINCT domain FROM sample_stage ORDER BY 1 ON CONFLICT DO NOTHING
"""
# Those who left or bounced are stamped, as every negative act does.
SUBSCRIBERS = """
INSERT INTO subscribers_subscriber (organization_id, email, address_key, domain_id, first_name, last_name, locale,
    time_zone, attributes, tags, status, is_sample, opted_out_at, created_at, updated_at)
SELECT %(organization)s, p.email, p.address_key, d.id, p.first_name, p.last_name, p.locale, p.time_zone, p.attributes,
       p.tags, CASE WHEN p.fate IN ('unsubscribed', 'bounced', 'complained') THEN p.fate ELSE 'active' END, true,
       CASE WHEN p.fate = 'active' OR p.fate = 'pending' THEN NULL ELSE %(long_ago)s::timestamptz END,
       %(long_ago)s, %(now)s
  FROM sample_stage p JOIN subscribers_domain d ON d.name = p.domain
ON CONFLICT DO NOTHING
"""
SUBSCRIPTIONS = """
INSERT INTO subscribers_subscription (organization_id, list_id, subscriber_id, state, changed_at)
SELECT %(organization)s, l.list_id, s.id,
       CASE WHEN l.list_id <> %(newsletter)s THEN 'subscribed' WHEN p.fate = 'pending' THEN 'pending'
            WHEN p.fate IN ('left_list', 'unsubscribed') THEN 'unsubscribed' ELSE 'subscribed' END, %(long_ago)s
  FROM sample_stage p
  JOIN subscribers_subscriber s ON s.organization_id = %(organization)s AND s.address_key = p.address_key
  JOIN (VALUES (%(newsletter)s::bigint), (%(loyalty)s), (%(news)s), (%(wholesale)s)) AS l (list_id)
    ON l.list_id = %(newsletter)s
    OR (l.list_id = %(loyalty)s AND p.is_loyal AND p.fate = 'active')
    OR (l.list_id = %(news)s AND p.wants_news AND p.fate = 'active')
    OR (l.list_id = %(wholesale)s AND p.is_wholesale AND p.fate = 'active')
 WHERE s.is_sample
ON CONFLICT DO NOTHING
"""
CONSENTS = """
INSERT INTO subscribers_consentrecord (organization_id, subscriber_id, list_id, action, method, at, source, text,
    reason, user_agent)
SELECT %(organization)s, u.subscriber_id, u.list_id,
       CASE WHEN u.state = 'unsubscribed' THEN 'opt_out' ELSE 'opt_in' END, 'sample', %(long_ago)s, 'sample',
       CASE WHEN u.state = 'unsubscribed' THEN '' ELSE %(consent)s END, '', ''
  FROM subscribers_subscription u JOIN subscribers_subscriber s ON s.id = u.subscriber_id
 WHERE u.organization_id = %(organization)s AND s.is_sample
   AND NOT EXISTS (SELECT 1 FROM subscribers_consentrecord c WHERE c.subscriber_id = u.subscriber_id
                      AND c.list_id = u.list_id)
"""
SUPPRESSIONS = """
INSERT INTO subscribers_suppression (organization_id, address_key, scope, reason, source, created_at)
SELECT %(organization)s, p.address_key, CASE WHEN p.fate IN ('bounced', 'complained') THEN 'all' ELSE 'marketing' END,
       CASE p.fate WHEN 'bounced' THEN 'hard_bounce' WHEN 'complained' THEN 'complaint' ELSE 'manual' END, 'sample',
       %(long_ago)s
  FROM sample_stage p WHERE p.fate IN ('bounced', 'complained', 'suppressed')
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True)
class SampleLists:
    """The lists of the sample."""

    newsletter: List
    loyalty: List
    news: List
    wholesale: List


def set_up_sample_organization(organization: Organization) -> None:
    """Fill in what an organization needs to send, where it is still empty."""
    defaults = {
        "postal_address": "Lumen Coffee, Pier Street 14, 1010 Riga, Latvia",
        "website": "https://lumen.example",
        "sender_name": "Lumen Coffee",
        "sender_email": SENDER_EMAIL,
        "reply_to": SENDER_EMAIL,
        "test_recipients": ["team@lumen.example"],
    }
    missing = {name: value for name, value in defaults.items() if not getattr(organization, name)}
    if organization.time_zone == "UTC":
        missing["time_zone"] = "Europe/Riga"
    for name, value in missing.items():
        setattr(organization, name, value)
    if missing:
        organization.save(update_fields=list(missing))
    for key, label, kind, choices in (
        ("city", "City", AttributeType.TEXT, []),
        ("points", "Points", AttributeType.NUMBER, []),
        ("customer_since", "Customer since", AttributeType.DATE, []),
        ("favourite", "Favourite", AttributeType.CHOICE, list(FAVOURITES)),
    ):
        AttributeDefinition.objects.get_or_create(
            organization=organization, key=key, defaults={"label": label, "type": kind, "choices": choices}
        )


def ensure_sample_lists(organization: Organization) -> SampleLists:
    """Make the four lists that are not there yet."""

    def make(name: str, description: str, *, is_public: bool = True) -> List:
        return List.objects.get_or_create(
            organization=organization, name=name, defaults={"description": description, "is_public": is_public}
        )[0]

    return SampleLists(
        newsletter=make("Newsletter", "What happens at the roastery, about twice a month."),
        loyalty=make("Loyalty members", "Points, early access and a birthday bag."),
        news=make("Product news", "New beans and new tools, as they come."),
        wholesale=make("Wholesale", "Cafés and offices that buy by the sack.", is_public=False),
    )


def load_people(organization: Organization, lists: SampleLists, people: Iterable[Person]) -> int:
    """Bring the people in with their lists, consents and suppressions; returns how many were new.

    Whoever is there already stays as they are, so that nobody who left since comes back.
    """
    now = timezone.now()
    params: dict[str, int | str | datetime.datetime] = {
        "organization": organization.pk,
        "newsletter": lists.newsletter.pk,
        "loyalty": lists.loyalty.pk,
        "news": lists.news.pk,
        "wholesale": lists.wholesale.pk,
        "now": now,
        "long_ago": now - datetime.timedelta(days=200),
        "consent": CONSENT_TEXT,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(STAGE)
        with cursor.copy("COPY sample_stage FROM STDIN") as copy:
            for person in people:
                address = canonical(person.email)
                copy.write_row(
                    (address.written, address.key, address.domain, person.first_name, person.last_name, person.locale,
                     person.time_zone, json.dumps(person.attributes), person.tags, person.fate, person.is_loyal,
                     person.wants_news, person.is_wholesale)
                )  # fmt: skip
        cursor.execute(DOMAINS)
        cursor.execute(SUBSCRIBERS, params)
        created: int = cursor.rowcount
        for statement in (SUBSCRIPTIONS, CONSENTS, SUPPRESSIONS):
            cursor.execute(statement, params)
    return created


def ensure_sample_campaign(organization: Organization, lists: SampleLists, *, actor: User | None) -> Campaign:
    """Write the sample campaign, ready to be launched, unless it is there."""
    existing = Campaign.objects.for_organization(organization).filter(name=CAMPAIGN_NAME).order_by("pk").first()
    if existing is not None:
        return existing
    newsletter = ensure_starters(organization)[0]
    body = (Path(settings.BASE_DIR) / "templates" / "emails" / "sample.html").read_text(encoding="utf-8")
    campaign = create_campaign(
        organization=organization,
        actor=actor,
        name=CAMPAIGN_NAME,
        template=newsletter,
        body=body.replace("PICTURES", f"{settings.PUBLIC_URL}/static/campaigns/sample"),
        content_format=ContentFormat.HTML,
    )
    return save_campaign(
        campaign=campaign,
        changes={
            "subject": '{{ first_name | default: "Dear reader" }}, our doors are open',
            "preheader": "The first batch through the new drum is our autumn blend.",
            "list_ids": [lists.newsletter.pk, lists.loyalty.pk],
            "excluded_list_ids": [lists.wholesale.pk],
        },
        revision=campaign.revision,
        actor=actor,
    )
