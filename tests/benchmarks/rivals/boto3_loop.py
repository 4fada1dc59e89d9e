"""A loop over boto3's `send_email` with a stored template and one client for all.

So does the newsletter among the code examples of AWS's SDK for Python ("Amazon SES API v2 examples using SDK for
Python"): the template is rendered by SES, which leaves this process the least to do.
"""

from __future__ import annotations

import json

import boto3

from tests.benchmarks import newsletter
from tests.benchmarks.rivals.letters import TEMPLATE_NAME, readers
from tests.benchmarks.rivals.settings import SES_CLIENT


def send(count: int) -> None:
    """Send to the first so many people; nothing is kept, so that a second run begins anew."""
    client = boto3.session.Session().client("sesv2", **SES_CLIENT)
    for reader in readers(count):
        client.send_email(
            FromEmailAddress=newsletter.SENDER,
            Destination={"ToAddresses": [reader.address]},
            Content={
                "Template": {
                    "TemplateName": TEMPLATE_NAME,
                    "TemplateData": json.dumps(reader.values),
                    "Headers": [{"Name": name, "Value": value} for name, value in reader.headers.items()],
                }
            },
        )
