"""Django's SMTP backend: templates compiled once, one connection kept, as "Sending multiple emails" advises."""

from __future__ import annotations

from django.core.mail import EmailMultiAlternatives, get_connection
from django.template import Context, Template

from tests.benchmarks import newsletter
from tests.benchmarks.rivals.letters import django_letter, in_groups

AT_ONCE = 100  # messages in memory


def send(count: int) -> None:
    """Send to the first so many people; nothing is kept, so that a second run begins anew."""
    letter = django_letter()
    subject, html, text = Template(letter.subject), Template(letter.html), Template(letter.text)
    with get_connection("django.core.mail.backends.smtp.EmailBackend") as connection:
        for group in in_groups(count, AT_ONCE):
            messages = []
            for reader in group:
                context = Context(reader.values)
                message = EmailMultiAlternatives(
                    subject.render(context),
                    text.render(context),
                    newsletter.SENDER,
                    [reader.address],
                    headers=reader.headers,
                )
                message.attach_alternative(html.render(context), "text/html")
                messages.append(message)
            connection.send_messages(messages)
