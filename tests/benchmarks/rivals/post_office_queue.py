"""django-post-office: a queue in the database, emptied by its command through django-ses.

README: "send_many()" for many emails, `render_on_delivery` "if you're sending many emails using the same template",
"Management Commands" for as many processes as ours has. A killed command is started again: "Set it up to run every
minute". Its other settings stand in `settings.py`.
"""

from __future__ import annotations

from django.core.management import call_command
from post_office import mail
from post_office.models import Email, EmailTemplate

from tests.benchmarks import newsletter
from tests.benchmarks.rivals.letters import TEMPLATE_NAME, django_letter, in_groups

AT_ONCE = 1000  # emails in one INSERT
PROCESSES = 2


def prepare() -> None:
    """Empty the queue and store the template."""
    Email.objects.all().delete()
    letter = django_letter()
    EmailTemplate.objects.update_or_create(
        name=TEMPLATE_NAME,
        defaults={"subject": letter.subject, "content": letter.text, "html_content": letter.html},
    )


def send(count: int) -> None:
    """Queue emails to the first so many people, then send them."""
    template = EmailTemplate.objects.get(name=TEMPLATE_NAME)
    for group in in_groups(count, AT_ONCE):
        mail.send_many(
            [
                {
                    "sender": newsletter.SENDER,
                    "recipients": [reader.address],
                    "template": template,
                    "context": reader.values,
                    "headers": reader.headers,
                    "render_on_delivery": True,
                }
                for reader in group
            ]
        )
    empty()


def empty() -> None:
    """Send what is in the queue."""
    call_command("send_queued_mail", processes=PROCESSES)
