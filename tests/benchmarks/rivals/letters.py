"""The benchmark's newsletter in the rivals' template languages, and who gets it.

Both have the words, links and variables of the Liquid original. SES's own templates know neither comparisons nor
filters, so that those are computed into a person's values, as SES's documentation advises.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import boto3
from django.utils.html import strip_tags

from subscribers.models import Subscriber, SubscriberStatus
from tests.benchmarks import newsletter
from tests.benchmarks.provider_stub import StubProcess

TEMPLATE_NAME = "northwind-journal"
READ_AT_ONCE = 2000

_HANDLEBARS = (
    (r'\{% if plan == "gold" %\}', "{{#if is_gold}}"),
    (r"\{% else %\}", "{{else}}"),
    (r"\{% endif %\}", "{{/if}}"),
    (r"\{% for interest in interests %\}", "{{#each interests}}"),
    (r"\{% endfor %\}", "{{/each}}"),
    (r"\{\{ interest \|[^}]*\}\}", "{{this}}"),
    (r"\{\{ (\w+)(?: \|[^}]*)? \}\}", r"{{\1}}"),
)


class Letter(NamedTuple):
    """One template for everybody."""

    subject: str
    html: str
    text: str


class Reader(NamedTuple):
    """One person; `values` fill in both kinds of templates."""

    address: str
    values: dict[str, Any]
    headers: dict[str, str]


def django_letter() -> Letter:
    """Write the newsletter as Django templates."""
    source = newsletter.newsletter()
    html = _in_django(source.html)
    return Letter(_in_django(source.subject), html, strip_tags(html[html.index("<body>") :]))


def ses_letter() -> Letter:
    """Write the newsletter as SES templates."""
    return Letter(*map(_in_handlebars, django_letter()))


def readers(count: int) -> Iterator[Reader]:
    """Read the first so many people from the database, a few thousand at a time."""
    people = Subscriber.objects.filter(status=SubscriberStatus.ACTIVE).order_by("pk")
    fields = ("pk", "email", "first_name", "last_name", "attributes")
    for pk, email, first_name, last_name, attributes in people.values_list(*fields)[:count].iterator(READ_AT_ONCE):
        unsubscribe_url = f"{newsletter.PUBLIC_URL}/u/{pk}"
        yield Reader(
            email,
            {
                "email": email,
                "name": f"{first_name} {last_name}",
                "first_name": first_name or "reader",
                "city": attributes["city"] or "the world",
                "company": attributes["company"],
                "plan": attributes["plan"],
                "is_gold": attributes["plan"] == "gold",
                "points": attributes["points"],
                "renews_on": attributes["renews_on"],
                "code": attributes["code"],
                "interests": [interest.capitalize() for interest in attributes["interests"]],
                "postal_address": newsletter.ORGANIZATION["postal_address"],
                "web_view_url": f"{newsletter.PUBLIC_URL}/v/{pk}",
                "preferences_url": f"{newsletter.PUBLIC_URL}/p/{pk}",
                "unsubscribe_url": unsubscribe_url,
            },
            {"List-Unsubscribe": f"<{unsubscribe_url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
        )


def store_template(stub: StubProcess) -> None:
    """Store the newsletter at the provider."""
    letter = ses_letter()
    client = boto3.client(
        "sesv2", region_name="us-east-1", endpoint_url=stub.url, aws_access_key_id=stub.access_key,
        aws_secret_access_key=stub.secret_key,
    )  # fmt: skip
    client.create_email_template(
        TemplateName=TEMPLATE_NAME,
        TemplateContent={"Subject": letter.subject, "Html": letter.html, "Text": letter.text},
    )


def in_groups(count: int, size: int) -> Iterator[list[Reader]]:
    """Read the first so many people in lists of at most `size`."""
    people = readers(count)
    while group := list(islice(people, size)):
        yield group


def _in_django(liquid: str) -> str:
    return (
        re.sub(r"\b(attributes|organization)\.", "", liquid)
        .replace("default: ", "default:")
        .replace("| capitalize", "")
    )


def _in_handlebars(template: str) -> str:
    for pattern, replacement in _HANDLEBARS:
        template = re.sub(pattern, replacement, template)
    return template
