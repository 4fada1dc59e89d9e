"""django-anymail: SES's bulk call by a stored template, each recipient with data and headers of their own.

Documentation: "Batch sending/merge and ESP templates" and "Amazon SES"; 50 recipients are what SES takes in a call.
One connection for all messages, as Django's "Sending multiple emails" advises.
"""

from __future__ import annotations

from anymail.message import AnymailMessage
from django.core.mail import get_connection

from tests.benchmarks import newsletter
from tests.benchmarks.rivals.letters import TEMPLATE_NAME, in_groups

PER_CALL = 50


def send(count: int) -> None:
    """Send to the first so many people; nothing is kept, so that a second run begins anew."""
    with get_connection("anymail.backends.amazon_ses.EmailBackend") as connection:
        for group in in_groups(count, PER_CALL):
            message = AnymailMessage(
                from_email=newsletter.SENDER,
                to=[reader.address for reader in group],
                template_id=TEMPLATE_NAME,
                merge_data={reader.address: reader.values for reader in group},
                merge_headers={reader.address: reader.headers for reader in group},
                connection=connection,
            )
            message.send()
