"""How Amazon's names look, for forms and commands."""

from __future__ import annotations

from typing import Final

REGION: Final = r"^[a-z]{2}(-[a-z]+)+-\d$"
CONFIGURATION_SET: Final = r"^[A-Za-z0-9_-]*$"
# A topic, or the queue or stream that brings events without a topic's envelope.
TOPIC_ARN: Final = (
    r"^arn:aws[a-z-]*:((sns|sqs):[a-z0-9-]+:\d{12}:|firehose:[a-z0-9-]+:\d{12}:deliverystream/)[A-Za-z0-9_.-]+$"
)
SENDER: Final = r"^([^@\s]+@)?[^@\s]+\.[^@\s]+$"  # an address or a domain


def service_of(arn: str) -> str:
    """The service in an ARN: sns, sqs, firehose, …; "" in what is none."""
    return [*arn.split(":"), "", ""][2]


def region_of(arn: str) -> str:
    """The region in an ARN; "" in what has none."""
    return [*arn.split(":"), "", "", ""][3]
